package serve

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
)

//go:embed openapi.json
var openAPI []byte

// openAPIDocument is what a document has that is merged.
type openAPIDocument struct {
	Version    string                                `json:"openapi"`
	Info       json.RawMessage                       `json:"info"`
	Servers    json.RawMessage                       `json:"servers"`
	Tags       []openAPITag                          `json:"tags"`
	Paths      map[string]json.RawMessage            `json:"paths"`
	Components map[string]map[string]json.RawMessage `json:"components"` // by kind and name
}

type openAPITag struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

// Document returns one OpenAPI document of the paths of several, which each package owns
// that has some, and of the health's. What two of them name alike must be the same. The
// first one says what the whole is about.
func Document(documents ...[]byte) ([]byte, error) {
	var all openAPIDocument
	for i, body := range append(documents, openAPI) {
		var d openAPIDocument
		if err := json.Unmarshal(body, &d); err != nil {
			return nil, fmt.Errorf("OpenAPI document %d: %w", i+1, err)
		}
		if i == 0 {
			all = openAPIDocument{Version: d.Version, Info: d.Info, Servers: d.Servers, Paths: map[string]json.RawMessage{}, Components: map[string]map[string]json.RawMessage{}}
		}
		if d.Version != all.Version {
			return nil, fmt.Errorf("OpenAPI document %d has the version %s, not %s", i+1, d.Version, all.Version)
		}
		for _, tag := range d.Tags {
			if !slices.Contains(all.Tags, tag) {
				all.Tags = append(all.Tags, tag)
			}
		}
		if err := addAll(all.Paths, d.Paths); err != nil {
			return nil, err
		}
		for kind, components := range d.Components {
			if all.Components[kind] == nil {
				all.Components[kind] = map[string]json.RawMessage{}
			}
			if err := addAll(all.Components[kind], components); err != nil {
				return nil, fmt.Errorf("%s: %w", kind, err)
			}
		}
	}
	return json.MarshalIndent(&all, "", "  ")
}

func addAll(all, more map[string]json.RawMessage) error {
	for name, body := range more {
		var compact bytes.Buffer
		if err := json.Compact(&compact, body); err != nil {
			return err
		}
		if before, there := all[name]; there && !bytes.Equal(before, compact.Bytes()) {
			return fmt.Errorf("two OpenAPI documents say different things of %s", name)
		}
		all[name] = compact.Bytes()
	}
	return nil
}

// OpenAPI serves a document.
func OpenAPI(document []byte) http.HandlerFunc {
	return readOnly(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.oai.openapi+json;version=3.1")
		_, _ = w.Write(document) // a client that has gone needs no answer
	})
}
