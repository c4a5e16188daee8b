package identity

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"net/url"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/net/http/httpguts"
)

// DefaultContext is the context of a login without a name.
const DefaultContext = "default"

// Logins are those of credentials.yaml, one for each context.
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

// with returns l with login in the context of its name. In a file without the map a
// login of another name makes one, of both.
func (l Logins) with(login Credentials) Logins {
	name := cmp.Or(login.Name, DefaultContext)
	switch {
	case !l.mapped && name == DefaultContext:
		login.Name = ""
		l.Contexts = []Credentials{login}
		return l
	case !l.mapped && l.Contexts[0].Present():
		l.Contexts = []Credentials{l.Contexts[0].inMap(DefaultContext)}
	case !l.mapped:
		l.Contexts = nil
	}
	l.mapped, l.Contexts = true, slices.Clone(l.Contexts)
	at := slices.IndexFunc(l.Contexts, func(c Credentials) bool { return c.Name == name })
	if at < 0 {
		at, l.Contexts = len(l.Contexts), append(l.Contexts, Credentials{})
	}
	l.Contexts[at] = login.inMap(name)
	return l
}

// inMap returns c for the map, in which it has a name and a kind.
func (c Credentials) inMap(name string) Credentials {
	switch {
	case c.Kind != "":
	case c.SelfHosted():
		c.Kind = SelfHosted
	default:
		c.Kind = ArcadeCloud
	}
	c.Name = name
	return c
}

// without returns l without a context. After the active one the first in
// alphabetical order is active.
func (l Logins) without(name string) Logins {
	l.Contexts = slices.DeleteFunc(slices.Clone(l.Contexts), func(c Credentials) bool { return c.Name == name })
	if l.Active == name && len(l.Contexts) > 0 {
		l.Active = l.Names()[0]
	}
	return l
}

// document is credentials.yaml.
//
// A CLI that knows contexts reads the map of them and nothing else; an older one
// reads the copy of the active context beside the map. So a file with the map has
// two copies of one login, and each change goes to both. Changes are made in place,
// so that unknown keys, comments and the order survive.
type document struct {
	Logins
	root    yaml.Node
	flat    Credentials // what a CLI without contexts reads
	foreign bool        // the file is about something else
}

// entry is a login in the file: a context, or what lies beside the map.
type entry struct {
	Credentials
	// oldKey is a key where the oldest files have it, and only beside the map.
	oldKey, version string
	expires         string
}

// field is a text in an entry, in one of its parts or in none.
type field struct {
	part, key string
	text      *string
}

// fields are those of e, in the order of the Python CLIs.
func (e *entry) fields() []field {
	return []field{
		{"api", "key", &e.oldKey},
		{"api", "version", &e.version},
		{"", "api_key", &e.APIKey},
		{"auth", "access_token", &e.AccessToken},
		{"auth", "expires_at", &e.expires},
		{"auth", "refresh_token", &e.RefreshToken},
		{"context", "org_id", &e.OrgID},
		{"context", "org_name", &e.OrgName},
		{"context", "project_id", &e.ProjectID},
		{"context", "project_name", &e.ProjectName},
		{"", "coordinator_url", &e.CoordinatorURL},
		{"", "dashboard_url", &e.DashboardURL},
		{"", "engine_url", &e.EngineURL},
		{"", "kind", &e.Kind},
		{"user", "account_id", &e.AccountID},
		{"user", "email", &e.Email},
	}
}

// decodeEntry reads a login. Times without an offset are in local. Foreign letters in
// a host, which may look like others, are read as they go over the wire.
func decodeEntry(node *yaml.Node, name string, local *time.Location) (Credentials, error) {
	var values map[string]yaml.Node
	if err := node.Decode(&values); err != nil {
		return Credentials{}, err
	}
	var e entry
	for _, f := range e.fields() {
		in := values
		if part := values[f.part]; f.part != "" {
			in = nil
			if err := part.Decode(&in); err != nil {
				return Credentials{}, err
			}
		}
		// Any scalar is a text, as it is written.
		if value := in[f.key]; value.Decode(f.text) != nil {
			return Credentials{}, ErrCredentialsNewer
		}
	}
	e.Name, e.APIKey, e.ExpiresAt = name, cmp.Or(e.APIKey, e.oldKey), parseExpiry(e.expires, local)
	for _, address := range []*string{&e.EngineURL, &e.CoordinatorURL, &e.DashboardURL} {
		*address = asSent(*address)
	}
	return e.Credentials, nil
}

// putEntry makes the mapping m say c, and leaves what does already as it is written.
// A key of Arcade Cloud stands where the oldest files have it if the file has no map,
// and so no other place that they know.
func putEntry(m *yaml.Node, c Credentials, mapped bool) {
	e := entry{Credentials: c, expires: c.pythonExpiry()}
	if c.APIKey != "" {
		e.AccessToken, e.expires, e.RefreshToken = "", "", ""
	}
	if c.APIKey != "" && !mapped && !c.SelfHosted() {
		e.oldKey, e.version, e.APIKey = c.APIKey, "v1", ""
	}
	used := map[string]bool{"": true}
	for _, f := range e.fields() {
		used[f.part] = used[f.part] || *f.text != ""
	}
	for _, f := range e.fields() {
		in := m
		if !used[f.part] {
			removeKey(m, f.part)
			continue
		} else if f.part != "" {
			in = mapping(child(m, f.part))
		}
		// The Python CLIs want all of auth and of context or none of it.
		if *f.text == "" && f.part != "auth" && f.part != "context" {
			removeKey(in, f.key)
			continue
		}
		value := child(in, f.key)
		if setText(value, *f.text); f.key == "expires_at" {
			value.Style = yaml.SingleQuotedStyle
		}
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
	d := &document{Logins: Logins{Active: DefaultContext, Contexts: []Credentials{{}}}}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	if err := decoder.Decode(&d.root); errors.Is(err, io.EOF) {
		return d, nil
	} else if err != nil || !errors.Is(decoder.Decode(new(yaml.Node)), io.EOF) {
		return nil, ErrCredentialsInvalid
	}
	var file, cloud map[string]yaml.Node
	if d.root.Decode(&file) != nil {
		return nil, ErrCredentialsInvalid
	}
	// A mapping of another shape may be what a later version writes.
	entry, found := file["cloud"]
	var err error
	if d.flat, err = decodeEntry(&entry, "", local); err != nil || entry.Decode(&cloud) != nil {
		return nil, ErrCredentialsNewer
	}
	d.foreign = len(file) > 0 && !found
	d.Contexts[0] = d.flat
	contexts, mapped := cloud["contexts"]
	if !mapped {
		return d, nil
	}
	d.Logins = Logins{mapped: true}
	if d.Contexts, err = decodeContexts(&contexts, local); err != nil {
		return nil, err
	}
	name, active := "", cloud["active_context"]
	if active.Decode(&name) != nil {
		return nil, ErrCredentialsNewer
	}
	if _, found := d.Find(name); found && name != "" {
		d.Active = name
	} else if len(d.Contexts) > 0 {
		d.Active = d.Contexts[0].Name
	}
	return d, nil
}

func decodeContexts(node *yaml.Node, local *time.Location) (contexts []Credentials, err error) {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	var entries map[string]yaml.Node
	if node.Decode(&entries) != nil {
		return nil, ErrCredentialsNewer
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name := node.Content[i].Value
		entry, found := entries[name]
		c, err := decodeEntry(&entry, name, local)
		if err != nil || !found || name == "" { // merged from elsewhere, or no name
			return nil, ErrCredentialsNewer
		}
		contexts = append(contexts, c)
	}
	return contexts, nil
}

// encode returns the document's bytes with other logins, if reading them gives these.
//
// The error is [ErrCredentialsInvalid] where anchors and merges make that impossible.
func (d *document) encode(next Logins) ([]byte, error) {
	if d.root.Kind != yaml.DocumentNode || len(d.root.Content) == 0 {
		d.root = yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{{}}}
	}
	cloud := mapping(child(mapping(d.root.Content[0]), "cloud"))
	if next.mapped {
		setText(child(cloud, "active_context"), next.Active)
		contexts := mapping(child(cloud, "contexts"))
		for _, former := range d.Contexts {
			if _, stays := next.Find(former.Name); !stays {
				removeKey(contexts, former.Name)
			}
		}
		for _, c := range next.Contexts {
			if former, found := d.Find(c.Name); !found || !d.mapped || !sameLogin(former, c) {
				putEntry(mapping(child(contexts, c.Name)), c, true)
			}
		}
	}
	flat, _ := next.Find(next.Active)
	if flat.Name = ""; !sameLogin(d.flat, flat) {
		putEntry(cloud, flat, next.mapped)
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2) // as both CLIs lay it out
	if encoder.Encode(&d.root) != nil || encoder.Close() != nil {
		return nil, ErrCredentialsInvalid // the encoder's error may quote a value
	}
	content := out.Bytes()
	written, err := decodeDocument(content, time.Local)
	if err != nil || len(content) > maxCredentialsSize || written.Active != next.Active || written.mapped != next.mapped ||
		!slices.EqualFunc(written.Contexts, next.Contexts, sameLogin) || !sameLogin(written.flat, flat) {
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

// setText makes n the text s, unless it reads so already.
func setText(n *yaml.Node, s string) {
	if present := ""; n.ShortTag() != "!!null" && n.Decode(&present) == nil && present == s {
		return
	}
	var text yaml.Node
	text.SetString(s)
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
