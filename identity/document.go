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

// Logins are the logins of credentials.yaml, one for each context.
type Logins struct {
	// Active is the name of the context in force, "" when there is none.
	Active string
	// Contexts are in the order of the file. A file without the map has one at most, without a name.
	Contexts []Credentials
}

// Names returns the names of the contexts in alphabetical order.
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

// with returns l with login in the context of its name.
func (l Logins) with(login Credentials) Logins {
	login.Name = cmp.Or(login.Name, DefaultContext)
	at := slices.IndexFunc(l.Contexts, func(c Credentials) bool { return c.Name == login.Name })
	if l.Contexts = slices.Clone(l.Contexts); at < 0 {
		l.Contexts = append(l.Contexts, login)
	} else {
		l.Contexts[at] = login
	}
	return l
}

// without returns l without a context. If that was the active one, the first in
// alphabetical order becomes active.
func (l Logins) without(name string) Logins {
	name = cmp.Or(name, DefaultContext)
	l.Contexts = slices.DeleteFunc(slices.Clone(l.Contexts), func(c Credentials) bool { return c.Name == name })
	if l.Active == name && len(l.Contexts) > 0 {
		l.Active = l.Names()[0]
	}
	return l
}

// document is credentials.yaml.
//
// A CLI that knows contexts reads only the map of them; an older one reads the copy of
// the active context beside the map. So a file with the map has two copies of one
// login, and each change goes to both. Changes are made in place, so that unknown keys,
// comments and the order survive.
type document struct {
	Logins
	root    yaml.Node
	mapped  bool        // the file has the map
	flat    Credentials // what a CLI without contexts reads
	foreign bool        // the file has other content, and no logins
}

// entry is a login as the file has it: in a context, or beside the map.
type entry struct {
	Credentials
	// oldKey is an API key where the oldest files have it, which is never in the map.
	oldKey, version string
	expires         string
}

// field is a text in an entry, in one of its parts unless part is "".
type field struct {
	part, key string
	text      *string
}

// fields returns the fields of e, in the order of the Python CLIs.
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

// decodeEntry reads a login. A host in foreign letters, which may look like another, is
// read as it goes over the wire.
func decodeEntry(node *yaml.Node, name string) (Credentials, error) {
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
		// Any scalar is read as a text.
		if value := in[f.key]; value.Decode(f.text) != nil {
			return Credentials{}, ErrCredentialsNewer
		}
	}
	e.Name, e.APIKey, e.ExpiresAt = name, cmp.Or(e.APIKey, e.oldKey), parseExpiry(e.expires, time.Local)
	for _, address := range []*string{&e.EngineURL, &e.CoordinatorURL, &e.DashboardURL} {
		*address = asSent(*address)
	}
	return e.Credentials, nil
}

// entryOf returns c as the file has it. Without the map, a key of Arcade Cloud goes where the oldest CLIs look for it.
func entryOf(c Credentials, mapped bool) entry {
	e := entry{Credentials: c, expires: c.pythonExpiry()}
	if c.APIKey != "" {
		e.AccessToken, e.expires, e.RefreshToken = "", "", ""
	}
	if c.APIKey != "" && !mapped && !c.SelfHosted() {
		e.oldKey, e.version, e.APIKey = c.APIKey, "v1", ""
	}
	return e
}

// putEntry changes the mapping m from was to c. It leaves alone the parts that agree already, and what other programs
// have added.
func putEntry(m *yaml.Node, was, c Credentials, mapped bool) {
	former, e := entryOf(was, mapped), entryOf(c, mapped)
	before, after := former.fields(), e.fields()
	used, changed := map[string]bool{"user": true}, map[string]bool{"": true}
	for i, f := range after {
		used[f.part] = used[f.part] || *f.text != ""
		changed[f.part] = changed[f.part] || *f.text != *before[i].text
	}
	for _, f := range after {
		in := m
		switch {
		case f.part == "":
		case !used[f.part]:
			removeKey(m, f.part)
			continue
		case !changed[f.part]:
			continue
		default:
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
	if at := indexOf(m, "user"); at >= 0 && m.Content[at+1].Kind == yaml.MappingNode && len(m.Content[at+1].Content) == 0 {
		removeKey(m, "user")
	}
}

// asSent returns an address with its host in ASCII, or the address if that is impossible.
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

// decodeDocument reads the content of a file. The errors of the yaml package quote
// values, and are not passed on.
func decodeDocument(content []byte) (*document, error) {
	d := new(document)
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	if err := decoder.Decode(&d.root); errors.Is(err, io.EOF) { // nothing, or comments alone
		d.root = yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{{}}, HeadComment: string(bytes.TrimSpace(content))}
	} else if err != nil || !errors.Is(decoder.Decode(new(yaml.Node)), io.EOF) {
		return nil, ErrCredentialsInvalid
	}
	var file, cloud map[string]yaml.Node
	if d.root.Decode(&file) != nil {
		return nil, ErrCredentialsInvalid
	}
	// A later version may write a mapping of another shape.
	node, found := file["cloud"]
	var err error
	if d.flat, err = decodeEntry(&node, DefaultContext); err != nil || node.Decode(&cloud) != nil {
		return nil, ErrCredentialsNewer
	}
	d.foreign = len(file) > 0 && !found
	contexts, active, name := cloud["contexts"], cloud["active_context"], ""
	if d.mapped = !contexts.IsZero(); !d.mapped {
		if d.Active = DefaultContext; d.flat.Present() || d.flat.SelfHosted() { // else it says nothing of a login
			d.Contexts = []Credentials{d.flat}
		}
		return d, nil
	}
	if d.decodeContexts(&contexts) != nil || active.Decode(&name) != nil {
		return nil, ErrCredentialsNewer
	}
	if _, found := d.Find(name); found && name != "" {
		d.Active = name
	} else if len(d.Contexts) > 0 {
		d.Active = d.Contexts[0].Name
	}
	return d, nil
}

func (d *document) decodeContexts(node *yaml.Node) error {
	if node.Kind != yaml.MappingNode && node.ShortTag() != "!!null" {
		return ErrCredentialsNewer
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name := node.Content[i]
		c, err := decodeEntry(node.Content[i+1], name.Value)
		if _, twice := d.Find(name.Value); err != nil || twice || name.Value == "" || name.ShortTag() == "!!merge" {
			return ErrCredentialsNewer
		}
		d.Contexts = append(d.Contexts, c)
	}
	return nil
}

// encode returns the document's bytes with other logins. A second context in a file
// without the map adds the map.
//
// The error is [ErrCredentialsInvalid] if the bytes would not read as these logins,
// because of anchors, merges or their size.
func (d *document) encode(next Logins) ([]byte, error) {
	cloud := mapping(child(mapping(d.root.Content[0]), "cloud"))
	contexts, mapped := slices.Clone(next.Contexts), d.mapped || next.Active != DefaultContext
	if mapped && !d.mapped {
		contexts = slices.DeleteFunc(contexts, func(c Credentials) bool { return !c.Present() })
	}
	if mapped {
		setText(child(cloud, "active_context"), next.Active)
		entries := mapping(child(cloud, "contexts"))
		for _, former := range d.Contexts {
			if _, stays := next.Find(former.Name); !stays {
				removeKey(entries, former.Name)
			}
		}
		for i, c := range contexts {
			former := Credentials{}
			if d.mapped {
				former, _ = d.Find(c.Name)
			}
			if !sameLogin(former, c) {
				contexts[i].Kind = c.kind()
				putEntry(mapping(child(entries, c.Name)), former, contexts[i], mapped)
			}
		}
	}
	next.Contexts = contexts
	flat, _ := next.Find(next.Active)
	if flat.Name = DefaultContext; !sameLogin(d.flat, flat) {
		putEntry(cloud, d.flat, flat, mapped)
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2) // as both CLIs lay it out
	if encoder.Encode(&d.root) != nil || encoder.Close() != nil {
		return nil, ErrCredentialsInvalid // the encoder's error may quote a value
	}
	written, err := decodeDocument(out.Bytes())
	if err != nil || out.Len() > maxCredentialsSize || written.mapped != mapped || written.Active != next.Active ||
		!slices.EqualFunc(written.Contexts, contexts, sameLogin) || !sameLogin(written.flat, flat) {
		return nil, ErrCredentialsInvalid
	}
	return out.Bytes(), nil
}

// sameLogin compares logins, and expiries to the microsecond, as they are written.
func sameLogin(a, b Credentials) bool {
	same := a.pythonExpiry() == b.pythonExpiry()
	a.ExpiresAt = b.ExpiresAt
	return same && a == b
}

// mapping returns the mapping that n is or refers to. Any other node becomes one.
func mapping(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		become(n, yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"})
	}
	return n
}

// setText makes n the text s, unless it reads as s already.
func setText(n *yaml.Node, s string) {
	if present := ""; n.ShortTag() != "!!null" && n.Decode(&present) == nil && present == s {
		return
	}
	var text yaml.Node
	text.SetString(s)
	become(n, text)
}

// become replaces the value of n, and keeps its comments and its anchor.
func become(n *yaml.Node, value yaml.Node) {
	value.Anchor = n.Anchor
	value.HeadComment, value.LineComment, value.FootComment = n.HeadComment, n.LineComment, n.FootComment
	*n = value
}

// child returns the value of key in the mapping m, to which it adds an empty one if need be.
func child(m *yaml.Node, key string) *yaml.Node {
	if at := indexOf(m, key); at >= 0 {
		return m.Content[at+1]
	}
	name, value := new(yaml.Node), new(yaml.Node)
	name.SetString(key)
	m.Content = append(m.Content, name, value)
	return value
}

func removeKey(m *yaml.Node, key string) {
	if at := indexOf(m, key); at >= 0 {
		m.Content = slices.Delete(m.Content, at, at+2)
	}
}

// indexOf returns the index of key, which its value follows, in the mapping m, or -1.
func indexOf(m *yaml.Node, key string) int {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return i
		}
	}
	return -1
}
