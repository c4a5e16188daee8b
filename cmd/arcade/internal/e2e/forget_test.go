package e2e

import (
	"os"
	"strings"
	"testing"
)

func TestForgetGivesThisHomeANewIDAndLeavesNothingOfTheOld(t *testing.T) {
	t.Parallel()
	m := used(t)
	before := m.Inspect().Identity.AnonID
	m.Must("usage", "report", "--no-browser")
	if r := m.Must("usage", "forget", "--yes"); !strings.Contains(r.Stdout, "Forgotten: this home's id and 1 waiting message and") {
		t.Errorf("it says %q", r.Stdout)
	}
	if found := m.Inspect(); found.Identity.AnonID != "" || len(found.Messages) > 0 {
		t.Errorf("%+v is still there", found)
	}
	entries, err := os.ReadDir(m.Path(""))
	m.Require(err)
	for _, entry := range entries {
		if strings.Contains(m.ReadFile(entry.Name()), before) || entry.Name() == "usage.json" {
			t.Errorf("%s still holds the old id", entry.Name())
		}
	}
	if r := m.Must("succeed"); r.Stderr != "" {
		t.Errorf("after forget a command says %q; the notice was shown before", r.Stderr)
	}
	m.Must("usage", "flush")
	found := m.Inspect()
	if found.Identity.AnonID == "" || found.Identity.AnonID == before {
		t.Errorf("the id is %q, before it was %q; want a new one", found.Identity.AnonID, before)
	}
	if p := found.Identity.LinkedPrincipalID; p == nil || *p != "principal-ada" {
		t.Error("who is still logged in is not asked for again")
	}
	m.NoViolations()
}
