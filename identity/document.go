package identity

import (
	"bytes"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// The functions of this file change the document of credentials.yaml in place,
// so that keys and comments which are not ours survive.

// encodeLogin turns the document into that of login, of either generation, and
// returns its bytes. The other generation's part goes: the Python CLI refuses a
// file with an API key in it. The former login's project goes too, it may be
// another person's. The error is [ErrCredentialsInvalid], for a document in
// which anchors and merges make that impossible.
func encodeLogin(document *yaml.Node, login Credentials) ([]byte, error) {
	cloud := cloudOf(document)
	if login.APIKey != "" || login.AccessToken == "" {
		removeKey(cloud, "auth")
		removeKey(cloud, "context")
		api := mapping(child(cloud, "api"))
		setText(child(api, "key"), login.APIKey)
		setText(child(api, "version"), "v1")
	} else {
		removeKey(cloud, "api")
		setTokens(cloud, login)
		setContext(cloud, login.Context)
	}
	setText(child(cloud, "coordinator_url"), login.CoordinatorURL)
	setText(child(mapping(child(cloud, "user")), "email"), login.Email)
	return encodeAs(document, login)
}

// setTokens writes all three: the Python CLI refuses a file that lacks one.
func setTokens(cloud *yaml.Node, login Credentials) {
	auth := mapping(child(cloud, "auth"))
	setText(child(auth, "access_token"), login.AccessToken)
	expires := child(auth, "expires_at")
	setText(expires, login.pythonExpiry())
	expires.Style = yaml.SingleQuotedStyle
	setText(child(auth, "refresh_token"), login.RefreshToken)
}

// setContext writes all four or nothing: the Python CLI refuses a part.
func setContext(cloud *yaml.Node, c Context) {
	if c == (Context{}) {
		removeKey(cloud, "context")
		return
	}
	context := mapping(child(cloud, "context"))
	setText(child(context, "org_id"), c.OrgID)
	setText(child(context, "org_name"), c.OrgName)
	setText(child(context, "project_id"), c.ProjectID)
	setText(child(context, "project_name"), c.ProjectName)
}

// cloudOf returns the document's cloud, added where it is missing.
func cloudOf(document *yaml.Node) *yaml.Node {
	if document.Kind != yaml.DocumentNode || len(document.Content) == 0 {
		*document = yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{{}}}
	}
	return mapping(child(mapping(document.Content[0]), "cloud"))
}

// encodeAs returns the document's bytes if they say what login says. The error
// is that of encodeLogin.
func encodeAs(document *yaml.Node, login Credentials) ([]byte, error) {
	content, err := encodeDocument(document)
	if err != nil {
		return nil, err
	}
	written, _, err := decodeCredentials(content, time.Local)
	same := written.pythonExpiry() == login.pythonExpiry()
	written.ExpiresAt, written.wall = login.ExpiresAt, login.wall
	if err != nil || !same || written != login || len(content) > maxCredentialsSize {
		return nil, ErrCredentialsInvalid
	}
	return content, nil
}

// mapping returns the mapping that n is or refers to; anything else, such as
// an empty value, becomes one.
func mapping(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		become(n, yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"})
	}
	return n
}

// setText makes n the text s, whatever it was.
func setText(n *yaml.Node, s string) {
	var text yaml.Node
	text.SetString(s)
	if strings.Contains(s, "\n") {
		// The block style SetString chooses loses blanks at the ends of lines.
		text.Style = yaml.DoubleQuotedStyle
	}
	become(n, text)
}

// become gives n another value in the same place: what is written about it and
// what refers to it stays.
func become(n *yaml.Node, value yaml.Node) {
	value.Anchor = n.Anchor
	value.HeadComment, value.LineComment, value.FootComment = n.HeadComment, n.LineComment, n.FootComment
	*n = value
}

// child returns the value of key in the mapping m, adding an empty one.
func child(m *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	name, value := new(yaml.Node), new(yaml.Node)
	name.SetString(key)
	m.Content = append(m.Content, name, value)
	return value
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

// encodeDocument writes the document as both CLIs lay it out.
func encodeDocument(document *yaml.Node) ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if encoder.Encode(document) != nil || encoder.Close() != nil {
		return nil, ErrCredentialsInvalid // the encoder's error may quote a value
	}
	return out.Bytes(), nil
}
