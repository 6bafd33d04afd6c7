// Package openapitest holds requests and answers of tests to an OpenAPI document, so that
// the document stays true.
package openapitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// Document is a document that is valid. It is safe for concurrent use.
type Document struct {
	Doc    *openapi3.T
	router routers.Router
}

// decodeMore tells the validator of media types that it does not know.
func decodeMore() {
	for media, decoder := range map[string]openapi3filter.BodyDecoder{
		"application/x-ndjson": openapi3filter.FileBodyDecoder, "text/html": openapi3filter.FileBodyDecoder,
		"application/cloudevents+json": openapi3filter.JSONBodyDecoder, "application/cloudevents-batch+json": openapi3filter.JSONBodyDecoder,
		"application/vnd.oai.openapi+json": openapi3filter.JSONBodyDecoder,
	} {
		if openapi3filter.RegisteredBodyDecoder(media) == nil {
			openapi3filter.RegisterBodyDecoder(media, decoder)
		}
	}
}

// Load reads and checks a document. A client must bear fields that are added; a test must
// not: an object that does not say whether it may have others has none here.
func Load(t testing.TB, body []byte) *Document {
	t.Helper()
	decodeMore()
	doc, err := openapi3.NewLoader().LoadFromData(body)
	if err == nil {
		err = doc.Validate(t.Context())
	}
	if err != nil {
		t.Fatalf("the document: %v", err)
	}
	for _, schema := range doc.Components.Schemas {
		closed(schema)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatalf("the document: %v", err)
	}
	return &Document{doc, router}
}

func closed(s *openapi3.SchemaRef) {
	if s == nil || s.Ref != "" || s.Value == nil {
		return
	}
	v := s.Value
	if more := &v.AdditionalProperties; len(v.Properties) > 0 && more.Has == nil && more.Schema == nil {
		no := false
		more.Has = &no
	}
	for _, property := range v.Properties {
		closed(property)
	}
	closed(v.Items)
	for _, one := range v.OneOf {
		closed(one)
	}
}

// Conforms fails the test where the answer is none that the document has for the request,
// and where a request that was taken is none that it allows.
func (d *Document) Conforms(t testing.TB, r *http.Request, status int, header http.Header, body []byte) {
	t.Helper()
	if r.Method == http.MethodHead {
		return
	}
	asked := r.Method + " " + r.URL.Path
	r = r.WithContext(r.Context()) // whoever asked goes on to use their own
	r.URL = &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	route, path, err := d.router.FindRoute(r)
	switch {
	case err != nil && (status == http.StatusNotFound || status == http.StatusMethodNotAllowed):
		return
	case err != nil:
		t.Errorf("%s is answered %d and not in the document: %v", asked, status, err)
		return
	}
	in := &openapi3filter.RequestValidationInput{
		Request: r, PathParams: path, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, MultiError: true},
	}
	if status == http.StatusOK && !bytes.Contains(body, []byte(`"rejected":[{`)) {
		if err := openapi3filter.ValidateRequest(t.Context(), in); err != nil {
			t.Errorf("%s is taken, but not as the document has it: %v", asked, err)
		}
		for name := range r.URL.Query() {
			if route.Operation.Parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil {
				t.Errorf("%s takes %s, which the document does not have", asked, name)
			}
		}
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: status, Header: header, Options: in.Options}
	out.SetBodyBytes(body)
	if err := openapi3filter.ValidateResponse(t.Context(), out); err != nil {
		t.Errorf("%s: the answer is not as the document has it: %v", asked, err)
	}
}

// Holds returns why a text is not what a schema of the document says, or nil.
func (d *Document) Holds(schema string, text []byte) error {
	s := d.Doc.Components.Schemas[schema]
	if s == nil {
		return fmt.Errorf("there is no schema %s", schema)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	return s.Value.VisitJSON(v, openapi3.MultiErrors())
}
