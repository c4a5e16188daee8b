package identity

import (
	"bytes"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// The functions of this file change the document of credentials.yaml in place,
// so that keys and comments which are not ours survive.

// encodeAPIKeyLogin turns the document into that of the login with an API key,
// and returns its bytes. The error is [ErrCredentialsInvalid], for a document
// in which anchors and merges make that impossible.
func encodeAPIKeyLogin(document *yaml.Node, login Credentials) ([]byte, error) {
	if document.Kind != yaml.DocumentNode || len(document.Content) == 0 {
		*document = yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{{}}}
	}
	cloud := mapping(child(mapping(document.Content[0]), "cloud"))
	removeKey(cloud, "auth")
	removeKey(cloud, "context")
	api := mapping(child(cloud, "api"))
	setText(child(api, "key"), login.APIKey)
	setText(child(api, "version"), "v1")
	setText(child(mapping(child(cloud, "user")), "email"), login.Email)
	setText(child(cloud, "coordinator_url"), login.CoordinatorURL)

	content, err := encodeDocument(document)
	if err != nil {
		return nil, err
	}
	if written, _, err := decodeCredentials(content, time.UTC); err != nil || written != login {
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
