package testbed

import (
	"fmt"
	"net/url"

	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
)

// Ada works in two organizations.
func Ada() identitytest.Person {
	return identitytest.Person{PrincipalID: "principal-ada", Email: "ada@example.com", Orgs: []identitytest.Org{
		{ID: "org_1", Name: "Analytical Engines", Default: true, Projects: []identitytest.Project{
			{ID: "proj_1", Name: "Notes", Default: true}, {ID: "proj_2", Name: "Bernoulli"},
		}},
		{ID: "org_2", Name: "Royal Society", Projects: []identitytest.Project{{ID: "proj_3", Name: "Letters"}}},
	}}
}

// OAuth starts an Arcade Cloud where these people have accounts; the first of them is in front of the
// browser.
func (m *Machine) OAuth(people ...identitytest.Person) *identitytest.Cloud {
	m.Helper()
	cloud := identitytest.Start(people...)
	m.Cleanup(cloud.Close)
	cloud.Set(func(b *identitytest.Behaviour) {
		b.RedirectURI = fmt.Sprintf("http://127.0.0.1:%d/callback", m.callback)
	})
	return cloud
}

// At are the flags that name a Cloud for `arcade login`.
func At(cloud *identitytest.Cloud) []string {
	u, err := url.Parse(cloud.URL)
	if err != nil {
		panic(err)
	}
	return []string{"--host", "localhost", "--port", u.Port()}
}
