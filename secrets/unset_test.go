package secrets_test

import (
	"errors"
	"net/http"
	"reflect"
	"slices"
	"testing"

	"github.com/ArcadeAI/arcade-cli/secrets"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// seeded is an Engine that keeps the keys A to D, whose ids are sec_0001 to sec_0004.
func seeded(t *testing.T) (*secretstest.Engine, *secrets.Client) {
	t.Helper()
	engine, c := newClient(t)
	for _, key := range []string{"A", "B", "C", "D"} {
		for r := range c.Set(t.Context(), []secrets.Pair{{Key: key, Value: value}}) {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
	}
	return engine, c
}

// unset runs Unset to its end.
func unset(t *testing.T, c *secrets.Client, keys ...string) []secrets.Result {
	t.Helper()
	return unsetWith(t, c, secrets.UnsetOptions{}, keys...)
}

func unsetWith(t *testing.T, c *secrets.Client, o secrets.UnsetOptions, keys ...string) []secrets.Result {
	t.Helper()
	results, err := c.Unset(t.Context(), keys, o)
	if err != nil {
		t.Fatalf("Unset failed: %v", err)
	}
	return slices.Collect(results)
}

func requestsOf(engine *secretstest.Engine, method string) (keys []string) {
	for _, r := range engine.Requests() {
		if r.Method == method {
			keys = append(keys, r.Key)
		}
	}
	return keys
}

func TestUnsetDeletesEachDistinctKeyOnceAndAnswersInTheOrderGiven(t *testing.T) {
	engine, c := seeded(t)
	results := unset(t, c, "C", "A", "missing", "C", "B", "missing")
	var got []string
	for _, r := range results {
		got = append(got, r.Key)
		if want := r.Key == "missing"; errors.Is(r.Err, secrets.ErrNoSuchSecret) != want || (r.Err != nil) != want {
			t.Errorf("%s gave %v", r.Key, r.Err)
		}
	}
	if want := []string{"C", "A", "missing", "B"}; !slices.Equal(got, want) {
		t.Errorf("the results are for %v, want %v", got, want)
	}
	deleted := requestsOf(engine, http.MethodDelete)
	if len(deleted) == 0 || deleted[0] != "sec_0003" {
		t.Errorf("the ids %v were deleted, want the first key's, sec_0003, before the others", deleted)
	}
	// Those behind the first travel together and may arrive in any order.
	if want := []string{"sec_0001", "sec_0002", "sec_0003"}; !slices.Equal(slices.Sorted(slices.Values(deleted)), want) {
		t.Errorf("the ids %v were deleted, want each of %v once", deleted, want)
	}
	if got := len(requestsOf(engine, http.MethodGet)); got != 1 {
		t.Errorf("the list was fetched %d times, want once", got)
	}
	if items := engine.Items(); len(items) != 1 || items[0].Key != "D" {
		t.Errorf("the Engine keeps %v, want D alone", items)
	}
}

func TestUnsetTakesALostAnswerForADeletion(t *testing.T) {
	engine, c := seeded(t)
	engine.Inject(secretstest.Fault{Mode: secretstest.Reset, Commit: true, Method: http.MethodDelete, Times: 1})
	for _, r := range unset(t, c, "A") {
		if r.Err != nil {
			t.Errorf("deleting A gave %v although the first attempt deleted it", r.Err)
		}
	}
	if got := len(requestsOf(engine, http.MethodDelete)); got != 2 {
		t.Errorf("%d deletions were asked for, want the lost one and one more", got)
	}
}

func TestUnsetNeverDeletesWithoutAnID(t *testing.T) {
	engine, c := newClient(t)
	engine.Answer(`{"items": [{"key": "A"}, {"key": "B", "id": ""}, {"key": "C", "id": 3}, {"id": "sec_1"}]}`)
	for _, r := range unset(t, c, "A", "B", "C") {
		if !errors.Is(r.Err, secrets.ErrNoSuchSecret) {
			t.Errorf("%s gave %v, want ErrNoSuchSecret", r.Key, r.Err)
		}
	}
	if got := requestsOf(engine, http.MethodDelete); got != nil {
		t.Errorf("deletions of %q were asked for: without an id that is the whole collection", got)
	}
}

func TestUnsetEscapesIDs(t *testing.T) {
	engine, c := newClient(t)
	engine.Answer(`{"items": [{"key": "A", "id": "../orgs/x"}]}`)
	unset(t, c, "A")
	requests := engine.Requests()
	if got, want := requests[len(requests)-1].Path, "/v1/admin/secrets/..%2Forgs%2Fx"; got != want {
		t.Errorf("%s was asked for, want %s: an id must not lead elsewhere", got, want)
	}
}

// keep makes the Engine keep n secrets, and returns their keys.
func keep(engine *secretstest.Engine, n int) (keys []string) {
	for _, pair := range manyPairs(n) {
		engine.Add(secretstest.Item{Key: pair.Key})
		keys = append(keys, pair.Key)
	}
	return keys
}

func TestUnsetDeletesFourAtOnce(t *testing.T) {
	engine, c := newClient(t)
	keys := keep(engine, 40)
	c.HTTP.Transport = fourAtOnce(t, c.HTTP.Transport, "sec_0001")
	for _, r := range unset(t, c, keys...) {
		if r.Err != nil {
			t.Errorf("%s gave %v", r.Key, r.Err)
		}
	}
	if left := len(engine.Items()); left != 0 {
		t.Errorf("the Engine keeps %d secrets, want none", left)
	}
}

func TestUnsetEndsAfterWhatTheKeysShare(t *testing.T) {
	engine, c := seeded(t)
	engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 403, Method: http.MethodDelete})
	for i, r := range unset(t, c, "A", "B", "C") {
		if errors.Is(r.Err, secrets.ErrNotTried) != (i > 0) || r.Err == nil {
			t.Errorf("%s gave %v, want the first to be refused and the others not to be tried", r.Key, r.Err)
		}
	}
	if got := requestsOf(engine, http.MethodDelete); len(got) != 1 {
		t.Errorf("the deletions %q were asked for, want one", got)
	}
}

func TestWhatSomebodyElseHasDeletedIsNotThere(t *testing.T) {
	engine, c := seeded(t)
	engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 404, Method: http.MethodDelete})
	for _, r := range unset(t, c, "A") {
		if !errors.Is(r.Err, secrets.ErrNoSuchSecret) {
			t.Errorf("A gave %v, want ErrNoSuchSecret: it is gone, as was asked for", r.Err)
		}
	}
}

func TestSeveralSecretsWithOneKeyAreChosenAmong(t *testing.T) {
	tests := []struct {
		name    string
		options secrets.UnsetOptions
		deleted []string
		want    error
	}{
		{"not without a choice", secrets.UnsetOptions{}, nil, &secrets.AmbiguousKeyError{Key: "KEY", Types: []string{"project", "user", "project"}}},
		{"by their type", secrets.UnsetOptions{Type: "user"}, []string{"sec_0002"}, nil},
		{"by a type that two have", secrets.UnsetOptions{Type: "project"}, []string{"sec_0001", "sec_0003"}, nil},
		{"by a type that none has", secrets.UnsetOptions{Type: "tenant"}, nil, secrets.ErrNoSuchSecret},
		{"all of them", secrets.UnsetOptions{AllTypes: true}, []string{"sec_0001", "sec_0002", "sec_0003"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			engine, c := newClient(t)
			for _, kind := range []string{"project", "user", "project"} {
				engine.Add(secretstest.Item{Key: "KEY", Type: kind})
			}
			engine.Add(secretstest.Item{Key: "OTHER", Type: "user"})
			for _, r := range unsetWith(t, c, tt.options, "KEY") {
				if !reflect.DeepEqual(r.Err, tt.want) {
					t.Errorf("KEY of type %q gave %v, want %v", r.Type, r.Err, tt.want)
				}
			}
			if got := slices.Sorted(slices.Values(requestsOf(engine, http.MethodDelete))); !slices.Equal(got, tt.deleted) {
				t.Errorf("%q were deleted, want %q", got, tt.deleted)
			}
		})
	}
	t.Run("the error says which and how to choose", func(t *testing.T) {
		for want, types := range map[secrets.Problem][]string{
			{What: "there are 3 secrets with this key, of the types project, none", Do: "Choose one with --type, or delete all with --all-types."}: {"project", "\x1b[31m", ""},
			{What: "there are 2 secrets with this key, all of the type project", Do: "Delete them with --all-types."}:                              {"project", "project"},
		} {
			var problem *secrets.Problem
			if err := (&secrets.AmbiguousKeyError{Key: "KEY", Types: types}); !errors.As(err, &problem) || *problem != want || err.Error() != want.What {
				t.Errorf("the message is %q and %+v, want %+v", err, problem, want)
			}
		}
	})
}

func TestAKeyWithSomethingInvisibleInItCanBeUnset(t *testing.T) {
	engine, c := newClient(t)
	engine.Add(secretstest.Item{Key: "\ufeffSTRIPE"})
	engine.Add(secretstest.Item{Key: "\ufeffTWICE"})
	engine.Add(secretstest.Item{Key: "TWI\u200bCE"})
	engine.Add(secretstest.Item{Key: "EXACT\u200b"})
	engine.Add(secretstest.Item{Key: "EXACT"})
	for _, r := range unset(t, c, "STRIPE", "TWICE", "EXACT") {
		if errors.Is(r.Err, secrets.ErrNoSuchSecret) != (r.Key == "TWICE") {
			t.Errorf("%s gave %v", r.Key, r.Err)
		}
	}
	if got, want := requestsOf(engine, http.MethodDelete), []string{"sec_0001", "sec_0005"}; !slices.Equal(got, want) {
		t.Errorf("%q were deleted, want %q: the one that looks like it, and the exact one", got, want)
	}
}
