package testbed

import (
	"net/url"

	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
)

// EngineKey is the API key that the Engine of a test accepts. Arcade Cloud knows it, too, once
// it has met the engineer.
const EngineKey = "arc_engineer"

// Ada works in two organizations.
func Ada() identitytest.Person {
	return identitytest.Person{PrincipalID: "principal-ada", Email: "ada@example.com", Orgs: []identitytest.Org{
		{ID: "org_1", Name: "Analytical Engines", Default: true, Projects: []identitytest.Project{
			{ID: "proj_1", Name: "Notes", Default: true}, {ID: "proj_2", Name: "Bernoulli"},
		}},
		{ID: "org_2", Name: "Royal Society", Projects: []identitytest.Project{{ID: "proj_3", Name: "Letters"}}},
	}}
}

// At are the flags that name a Cloud for `arcade login`.
func At(cloud *identitytest.Cloud) []string {
	u, err := url.Parse(cloud.URL)
	if err != nil {
		panic(err)
	}
	return []string{"--host", "localhost", "--port", u.Port()}
}

// Cloud is Arcade Cloud. Each person works in one project of their own.
type Cloud struct{ *identitytest.Cloud }

// Port is where it listens, on localhost.
func (c Cloud) Port() string { return At(c.Cloud)[3] }

// Meet puts a person in front of the browser; their key is "arc_" and their name. Before that
// no login succeeds there, and the browser comes back without a code.
func (c Cloud) Meet(person string) {
	c.AddKey("arc_"+person, "principal-"+person)
	c.Cloud.Meet(identitytest.Person{PrincipalID: "principal-" + person, Email: person + "@example.com", Orgs: []identitytest.Org{
		{ID: "org_" + person, Name: person, Projects: []identitytest.Project{{ID: "proj_" + person, Name: "Notes"}}},
	}})
}

// Hang makes Cloud leave the question whose credentials these are unanswered, or answer it again.
func (c Cloud) Hang(silent bool) {
	for _, path := range []string{identitytest.WhoAmIPath, identitytest.ValidatePath} {
		if silent {
			c.Cloud.Hang(path)
		} else {
			c.Override(path, nil)
		}
	}
}

// Calls counts how often that was asked.
func (c Cloud) Calls() int {
	return c.Count(identitytest.WhoAmIPath) + c.Count(identitytest.ValidatePath)
}
