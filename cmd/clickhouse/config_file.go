package clickhouse

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"text/template"
)

// engineUser is the only user of the embedded engine that can log in.
const engineUser = "photofinish"

// configXML is the engine's configuration. The listener is on the IPv4 loopback
// alone and there is no HTTP.
var configXML = template.Must(template.New("config.xml").Funcs(xmlFuncs).Parse(`<clickhouse>
  <path>{{xml .Data}}/</path>
  <tmp_path>{{xml .Data}}/tmp/</tmp_path>
  <user_files_path>{{xml .Data}}/user_files/</user_files_path>
  <listen_host>127.0.0.1</listen_host>
  <tcp_port>{{.Port}}</tcp_port>
  <users_config>{{xml .Users}}</users_config>
  <timezone>UTC</timezone>
  <logger>
    <console>0</console>
    <level>warning</level>
    <log>{{xml .Log}}</log>
    <size>10M</size>
    <count>3</count>
  </logger>
  <history_file>/dev/null</history_file>
  <disable_suggestion>1</disable_suggestion>
  <send_crash_reports><enabled>0</enabled></send_crash_reports>
  {{.Extra}}
</clickhouse>
`))

// usersXML holds two users. The engine runs its own session as "default", without
// a password, and cannot be told otherwise: so that user may do nothing but open
// the listener, and may have one session, which the engine's own takes for good;
// anybody else who tries to log in as "default" is refused.
var usersXML = template.Must(template.New("users.xml").Funcs(xmlFuncs).Parse(`<clickhouse>
  <profiles>
    <default/>
    <engine><max_sessions_for_user>1</max_sessions_for_user></engine>
  </profiles>
  <quotas><default/></quotas>
  <users>
    <default>
      <no_password/>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>engine</profile>
      <quota>default</quota>
      <grants><query>GRANT SYSTEM LISTEN ON *.*</query></grants>
    </default>
    <{{.User}}>
      <password_sha256_hex>{{.PasswordHash}}</password_sha256_hex>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
    </{{.User}}>
  </users>
</clickhouse>
`))

var xmlFuncs = template.FuncMap{"xml": func(s string) (string, error) {
	var b bytes.Buffer
	err := xml.EscapeText(&b, []byte(s))
	return b.String(), err
}}

// newPassword returns a password that cannot be guessed.
func newPassword() string { return rand.Text() }

// writeConfig writes config.xml and users.xml for a start on a port.
func (f folder) writeConfig(port int, password, extra string) error {
	hash := sha256.Sum256([]byte(password))
	values := map[string]any{
		"Data":         f.path("data"),
		"Users":        f.path("users.xml"),
		"Log":          f.path("engine.log"),
		"Port":         port,
		"Extra":        extra,
		"User":         engineUser,
		"PasswordHash": hex.EncodeToString(hash[:]),
	}
	var config, users bytes.Buffer
	if err := errors.Join(configXML.Execute(&config, values), usersXML.Execute(&users, values)); err != nil {
		return fmt.Errorf("write the engine's configuration: %w", err)
	}
	if err := writeFile(f.path("users.xml"), users.Bytes(), 0o600); err != nil {
		return err
	}
	return writeFile(f.path("config.xml"), config.Bytes(), 0o600)
}
