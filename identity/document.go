package identity

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/net/http/httpguts"
)

// DefaultContext is the context of a login without a name.
const DefaultContext = "default"

// Logins are those of credentials.yaml, one for each context.
//
// A CLI that knows contexts reads the map of them and nothing else; an older one
// reads the copy of the active context beside the map. So a file with the map has
// two copies of one login, and each change goes to both.
type Logins struct {
	// Active is the name of the context in force, "" when there is none.
	Active string
	// Contexts are in the order of the file. Without the map there is one, without a name.
	Contexts []Credentials
	mapped   bool // the file has the map
}

// Names are in alphabetical order.
func (l Logins) Names() []string {
	var names []string
	for _, c := range l.Contexts {
		names = append(names, cmp.Or(c.Name, DefaultContext))
	}
	slices.Sort(names)
	return names
}

// Find returns the login of a context, and false if there is none.
func (l Logins) Find(name string) (Credentials, bool) {
	for _, c := range l.Contexts {
		if cmp.Or(c.Name, DefaultContext) == cmp.Or(name, DefaultContext) {
			return c, true
		}
	}
	return Credentials{}, false
}

// document is credentials.yaml. Changes are made in place, so that unknown keys,
// comments and the order survive.
type document struct {
	Logins
	root yaml.Node
	flat Credentials // what a CLI without contexts reads
}

// entry is a login in the file: a context, or what lies beside the map.
type entry struct {
	Kind           string `yaml:"kind"`
	EngineURL      string `yaml:"engine_url"`
	CoordinatorURL string `yaml:"coordinator_url"`
	DashboardURL   string `yaml:"dashboard_url"`
	APIKey         string `yaml:"api_key"`
	// API is that of the oldest files, and only beside the map.
	API struct {
		Key string `yaml:"key"`
	} `yaml:"api"`
	User struct {
		Email     string `yaml:"email"`
		AccountID string `yaml:"account_id"`
	} `yaml:"user"`
	Auth struct {
		AccessToken  string `yaml:"access_token"`
		ExpiresAt    string `yaml:"expires_at"`
		RefreshToken string `yaml:"refresh_token"`
	} `yaml:"auth"`
	Context struct {
		OrgID       string `yaml:"org_id"`
		OrgName     string `yaml:"org_name"`
		ProjectID   string `yaml:"project_id"`
		ProjectName string `yaml:"project_name"`
	} `yaml:"context"`
}

// login is the entry's. Times without an offset are in local. Foreign letters in a host, which may look like others, are written as
// they go over the wire.
func (e entry) login(name string, local *time.Location) Credentials {
	return Credentials{
		Name: name, Kind: e.Kind,
		EngineURL: asSent(e.EngineURL), CoordinatorURL: asSent(e.CoordinatorURL), DashboardURL: asSent(e.DashboardURL),
		APIKey: cmp.Or(e.APIKey, e.API.Key), AccessToken: e.Auth.AccessToken, RefreshToken: e.Auth.RefreshToken,
		ExpiresAt: parseExpiry(e.Auth.ExpiresAt, local), Email: e.User.Email, AccountID: e.User.AccountID, Context: Context(e.Context),
	}
}

// asSent returns an address with its host in ASCII, if it can be.
func asSent(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	host, err := httpguts.PunycodeHostPort(u.Host)
	if err != nil || host == u.Host {
		return address
	}
	u.Host = host
	return u.String()
}

// decodeDocument understands content. The errors of the yaml package quote values,
// and are not passed on.
func decodeDocument(content []byte, local *time.Location) (*document, error) {
	d := new(document)
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	if err := decoder.Decode(&d.root); errors.Is(err, io.EOF) {
		d.Active, d.Contexts = DefaultContext, []Credentials{{}}
		return d, nil
	} else if err != nil {
		return nil, ErrCredentialsInvalid
	}
	if second := new(yaml.Node); !errors.Is(decoder.Decode(second), io.EOF) {
		return nil, ErrCredentialsInvalid
	}
	// yaml gives any scalar to a string as it is written.
	var file struct {
		Cloud struct {
			entry    `yaml:",inline"`
			Active   string    `yaml:"active_context"`
			Contexts yaml.Node `yaml:"contexts"`
		} `yaml:"cloud"`
	}
	if d.root.Decode(&file) != nil {
		return nil, unknownShape(&d.root)
	}
	d.flat = file.Cloud.login("", local)
	if d.mapped = !file.Cloud.Contexts.IsZero(); !d.mapped {
		d.Active, d.Contexts = DefaultContext, []Credentials{d.flat}
		return d, nil
	}
	if err := d.decodeContexts(&file.Cloud.Contexts, local); err != nil {
		return nil, err
	}
	if _, found := d.Find(file.Cloud.Active); found && file.Cloud.Active != "" {
		d.Active = file.Cloud.Active
	} else if len(d.Contexts) > 0 {
		d.Active = d.Contexts[0].Name
	}
	return d, nil
}

func (d *document) decodeContexts(node *yaml.Node, local *time.Location) error {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	var entries map[string]entry
	if node.Decode(&entries) != nil {
		return ErrCredentialsNewer
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name := node.Content[i].Value
		e, found := entries[name]
		if !found || name == "" { // merged from elsewhere, or no name
			return ErrCredentialsNewer
		}
		d.Contexts = append(d.Contexts, e.login(name, local))
	}
	return nil
}

// unknownShape is the error for other YAML: a mapping may be what a later version
// writes, anything else is no such file.
func unknownShape(root *yaml.Node) error {
	var mapping map[string]yaml.Node
	if root.Decode(&mapping) != nil {
		return ErrCredentialsInvalid
	}
	return ErrCredentialsNewer
}

// isLogin reports whether the file is one for logins, or empty.
func (d *document) isLogin() bool {
	return len(d.root.Content) == 0 || d.root.Content[0].Kind != yaml.MappingNode || childOf(d.root.Content[0], "cloud") != nil
}

// put writes login to the context of its name, which is added if it is missing,
// makes active the active one, and returns the bytes. In a file without the map a
// login of another name makes one, of both.
//
// The error is [ErrCredentialsInvalid] where anchors and merges make that impossible.
func (d *document) put(login Credentials, active string) ([]byte, error) {
	if !d.mapped && cmp.Or(login.Name, DefaultContext) == DefaultContext {
		if login.Name = ""; login.AccountID != d.flat.AccountID {
			login.AccountID = "" // which older CLIs do not write
		}
		setLogin(d.cloud(), d.flat, login, false)
		d.flat, d.Contexts = login, []Credentials{login}
		return d.encode()
	}
	d.beginMap()
	login.Name = cmp.Or(login.Name, DefaultContext)
	at := slices.IndexFunc(d.Contexts, func(c Credentials) bool { return c.Name == login.Name })
	if at < 0 {
		at, d.Contexts = len(d.Contexts), append(d.Contexts, Credentials{})
	}
	setLogin(mapping(child(d.contexts(), login.Name)), d.Contexts[at], login, true)
	d.Contexts[at] = login
	if active == d.Active && active != login.Name {
		return d.encode()
	}
	return d.activate(active)
}

// beginMap makes a map of contexts, in which the login beside it is the first.
func (d *document) beginMap() {
	if d.mapped {
		return
	}
	d.Logins = Logins{mapped: true}
	if former := d.flat; former.Present() {
		former.Name, former.Kind = DefaultContext, cmp.Or(former.Kind, ArcadeCloud)
		setLogin(mapping(child(d.contexts(), former.Name)), Credentials{}, former, true)
		d.Contexts = []Credentials{former}
	}
}

// remove takes a context out of the map, which has others. After the active one
// the first in alphabetical order is active. The error is that of put.
func (d *document) remove(name string) ([]byte, error) {
	removeKey(d.contexts(), name)
	d.Contexts = slices.DeleteFunc(d.Contexts, func(c Credentials) bool { return c.Name == name })
	if d.Active != name {
		return d.encode()
	}
	return d.activate(d.Names()[0])
}

// activate makes another context the active one. The error is that of put.
func (d *document) activate(active string) ([]byte, error) {
	if active != d.Active {
		setText(child(d.cloud(), "active_context"), active)
	}
	login, _ := d.Find(active)
	setLogin(d.cloud(), d.flat, login, true)
	login.Name = ""
	d.Active, d.flat = active, login
	return d.encode()
}

// encode returns the document's bytes if reading them gives its logins again.
func (d *document) encode() ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2) // as both CLIs lay it out
	if encoder.Encode(&d.root) != nil || encoder.Close() != nil {
		return nil, ErrCredentialsInvalid // the encoder's error may quote a value
	}
	content := out.Bytes()
	written, err := decodeDocument(content, time.Local)
	if err != nil || len(content) > maxCredentialsSize || written.Active != d.Active || written.mapped != d.mapped ||
		!slices.EqualFunc(written.Contexts, d.Contexts, sameLogin) || !sameLogin(written.flat, d.flat) {
		return nil, ErrCredentialsInvalid
	}
	return content, nil
}

// sameLogin compares expiries to the microsecond, as they are written.
func sameLogin(a, b Credentials) bool {
	same := a.pythonExpiry() == b.pythonExpiry()
	a.ExpiresAt = b.ExpiresAt
	return same && a == b
}

// setLogin writes login to an entry that held was, and leaves what is right as it
// is written. The Python CLIs want all of auth and of context or none of it, and
// refuse a file with api, where the oldest ones kept a key: only a file without the
// map gets that, since they know no other place.
func setLogin(e *yaml.Node, was, login Credentials, mapped bool) {
	key := login.APIKey
	if key == "" || mapped || login.SelfHosted() || childOf(e, "api_key") != nil {
		removeKey(e, "api")
	} else {
		if api := mapping(child(e, "api")); was.APIKey != key {
			setText(child(api, "key"), key)
			setText(child(api, "version"), "v1")
		}
		key = ""
	}
	setOrRemove(e, "api_key", key)
	if login.AccessToken == "" || login.APIKey != "" {
		removeKey(e, "auth")
	} else if auth := mapping(child(e, "auth")); was.AccessToken != login.AccessToken || was.RefreshToken != login.RefreshToken ||
		was.pythonExpiry() != login.pythonExpiry() {
		setText(child(auth, "access_token"), login.AccessToken)
		expires := child(auth, "expires_at")
		setText(expires, login.pythonExpiry())
		expires.Style = yaml.SingleQuotedStyle
		setText(child(auth, "refresh_token"), login.RefreshToken)
	}
	if login.Context == (Context{}) {
		removeKey(e, "context")
	} else if context := mapping(child(e, "context")); was.Context != login.Context {
		setText(child(context, "org_id"), login.OrgID)
		setText(child(context, "org_name"), login.OrgName)
		setText(child(context, "project_id"), login.ProjectID)
		setText(child(context, "project_name"), login.ProjectName)
	}
	setOrRemove(e, "coordinator_url", login.CoordinatorURL)
	setOrRemove(e, "dashboard_url", login.DashboardURL)
	setOrRemove(e, "engine_url", login.EngineURL)
	setOrRemove(e, "kind", login.Kind)
	user := mapping(child(e, "user"))
	setOrRemove(user, "account_id", login.AccountID)
	setOrRemove(user, "email", login.Email)
	if len(user.Content) == 0 {
		removeKey(e, "user")
	}
}

// cloud returns the document's cloud, added if it is missing.
func (d *document) cloud() *yaml.Node {
	if d.root.Kind != yaml.DocumentNode || len(d.root.Content) == 0 {
		d.root = yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{{}}}
	}
	return mapping(child(mapping(d.root.Content[0]), "cloud"))
}

// contexts returns the map of contexts, added if it is missing.
func (d *document) contexts() *yaml.Node { return mapping(child(d.cloud(), "contexts")) }

// mapping returns the mapping that n is or refers to. Anything else becomes one.
func mapping(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		become(n, yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"})
	}
	return n
}

// setOrRemove makes the value of key in the mapping m the text s; "" removes both.
func setOrRemove(m *yaml.Node, key, s string) {
	if s == "" {
		removeKey(m, key)
		return
	}
	setText(child(m, key), s)
}

// setText makes n the text s, unless it reads so already.
func setText(n *yaml.Node, s string) {
	if present := ""; n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" && n.Decode(&present) == nil && present == s {
		return
	}
	var text yaml.Node
	text.SetString(s)
	if strings.Contains(s, "\n") {
		// SetString's block style loses blanks at the ends of lines.
		text.Style = yaml.DoubleQuotedStyle
	}
	become(n, text)
}

// become gives n another value, and keeps its comments and its anchor.
func become(n *yaml.Node, value yaml.Node) {
	value.Anchor = n.Anchor
	value.HeadComment, value.LineComment, value.FootComment = n.HeadComment, n.LineComment, n.FootComment
	*n = value
}

// child returns the value of key in the mapping m, an empty one if it is new.
func child(m *yaml.Node, key string) *yaml.Node {
	if found := childOf(m, key); found != nil {
		return found
	}
	name, value := new(yaml.Node), new(yaml.Node)
	name.SetString(key)
	m.Content = append(m.Content, name, value)
	return value
}

// childOf returns the value of key in the mapping m, nil if there is none.
func childOf(m *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}

// removeKey removes key and its value from the mapping m.
func removeKey(m *yaml.Node, key string) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content = append(m.Content[:i], m.Content[i+2:]...)
			return
		}
	}
}
