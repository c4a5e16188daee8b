package e2e

import (
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// encounter is an error that a user meets, and how.
type encounter struct {
	name  string
	args  string // words; {blank} is a blank inside one, {sentinel} a secret, {cloud} and {engine} ports
	given func(s *machine, cmd *exec.Cmd)
	stdin string
	code  int
	// The two lines on stderr: what happened and why, and what to do. {home}, {cloud} and {engine}
	// are those of the stage.
	says, hint string
	arrives    bool // a request may reach the Engine
}

const (
	readKey   = "login --with-key --host localhost --port {cloud}"
	toBrowser = "login --host localhost --port {cloud}"
	pipeKey   = "Pipe the key in, and nothing else: arcade login --host localhost:{cloud} --with-key < key.txt"
	reporting = "If this should work, please report it at https://github.com/ArcadeAI/arcade-cli/issues"
	kept      = "Nothing is lost. A later command delivers."
	moveAway  = "Move it away, or set ARCADE_WORK_DIR to another directory."
)

// howTo is the hint of wrong usage.
func howTo(command string) string { return fmt.Sprintf("Run '%s --help' for how to use it.", command) }

// encounters are all errors, by the command that meets them. Those of a group stand with one of
// its commands.
func encounters() []encounter {
	asking := slices.Concat(engineEncounters(), connectionEncounters())
	for i := range asking {
		asking[i].arrives = true
	}
	return slices.Concat(
		asking, wrongCommandLines(), wrongValues(), wrongPairs(), wrongHosts(),
		loginEncounters(), todayEncounters(), credentialsEncounters(), envFileEncounters(),
		usageEncounters(), flushEncounters(), databaseEncounters(), otherEncounters(),
	)
}

func wrongCommandLines() []encounter {
	return []encounter{
		{name: "a mistyped command", args: "whomi", code: 2,
			says: "Error: unknown command 'whomi' for 'arcade'.", hint: "Did you mean 'arcade whoami'?"},
		{name: "a mistyped command of a group", args: "usage inpsect", code: 2,
			says: "Error: unknown command 'inpsect' for 'arcade usage'.", hint: "Did you mean 'arcade usage inspect'?"},
		{name: "a command that resembles none", args: "usage zzz", code: 2,
			says: "Error: unknown command 'zzz' for 'arcade usage'.", hint: howTo("arcade usage")},
		{name: "a value in place of a command", args: "{sentinel}", code: 2,
			says: "Error: unknown command for 'arcade'.", hint: howTo("arcade")},
		{name: "a value in place of a command of secret", args: "secret {sentinel}", code: 2,
			says: "Error: unknown command for 'arcade secret'.", hint: howTo("arcade secret")},
		{name: "a topic that there is no help on", args: "help nope", code: 2,
			says: "Error: unknown command 'nope' for 'arcade'.", hint: howTo("arcade")},
		{name: "completion for a shell that is not known", args: "completion tcsh", code: 2,
			says: "Error: unknown command 'tcsh' for 'arcade completion'.", hint: "Did you mean 'arcade completion bash', 'arcade completion fish' or 'arcade completion zsh'?"},
		{name: "an argument to a completion", args: "completion bash {sentinel}", code: 2,
			says: "Error: this command takes no arguments.", hint: howTo("arcade completion bash")},
		{name: "version as a command", args: "version", code: 2,
			says: "Error: unknown command 'version' for 'arcade'.", hint: "Did you mean 'arcade --version'?"},
		{name: "an argument too many", args: "whoami {sentinel}", code: 2,
			says: "Error: this command takes no arguments.", hint: howTo("arcade whoami")},
		{name: "an argument to list", args: "secret list {sentinel}", code: 2,
			says: "Error: this command takes no arguments.", hint: howTo("arcade secret list")},
		{name: "an unknown flag", args: "whoami --nope", code: 2,
			says: "Error: unknown flag '--nope'.", hint: howTo("arcade whoami")},
		{name: "an unknown letter", args: "whoami -x", code: 2,
			says: "Error: unknown flag '-x'.", hint: howTo("arcade whoami")},
		{name: "a value in place of a flag", args: "whoami --{sentinel}", code: 2,
			says: "Error: there is no such flag.", hint: howTo("arcade whoami")},
		{name: "a value in place of a flag of secret", args: "secret set A -{sentinel}", code: 2,
			says: "Error: there is no such flag; a value that starts with - is written KEY=-value.", hint: howTo("arcade secret set")},
		{name: "a word in place of a flag of secret", args: "secret set A --hunter", code: 2,
			says: "Error: there is no such flag; a value that starts with - is written KEY=-value.", hint: howTo("arcade secret set")},
		{name: "an unknown flag of a command without values", args: "secret list --jsn", code: 2,
			says: "Error: unknown flag '--jsn'.", hint: "Did you mean '--json'?"},
		{name: "a command without its group", args: "status", code: 2,
			says: "Error: unknown command 'status' for 'arcade'.", hint: "Did you mean 'arcade usage status'?"},
		{name: "a command without its group, with a flag", args: "inspect --follow", code: 2,
			says: "Error: unknown command 'inspect' for 'arcade'.", hint: "Did you mean 'arcade usage inspect'?"},
		{name: "a command that several groups have", args: "list", code: 2, says: "Error: unknown command 'list' for 'arcade'.",
			hint: "Did you mean 'arcade context list', 'arcade org list', 'arcade project list' or 'arcade secret list'?"},
		{name: "a command behind a group that does not have it", args: "usage whoami", code: 2,
			says: "Error: unknown command 'whoami' for 'arcade usage'.", hint: "Did you mean 'arcade whoami'?"},
		{name: "another word for a command", args: "usage list", code: 2,
			says: "Error: unknown command 'list' for 'arcade usage'.", hint: "Did you mean 'arcade usage inspect'?"},
		{name: "a flag without its command", args: "usage --follow", code: 2,
			says: "Error: unknown flag '--follow'.", hint: "Did you mean 'arcade usage inspect --follow'?"},
		{name: "a flag of the command beside", args: "usage status --state dead", code: 2,
			says: "Error: unknown flag '--state'.", hint: "Did you mean 'arcade usage inspect --state'?"},
		{name: "a flag that too many commands have", args: "--json", code: 2,
			says: "Error: unknown flag '--json'.", hint: howTo("arcade")},
		{name: "what looks like no flag at all", args: "whoami --=x", code: 2,
			says: "Error: the flags cannot be understood.", hint: howTo("arcade whoami")},
		{name: "a flag without its value", args: "login --port", code: 2,
			says: "Error: --port needs a value.", hint: howTo("arcade login")},
		{name: "a flag in place of the value of another", args: "secret list -h --json", code: 2,
			says: "Error: --host needs a value.", hint: howTo("arcade secret list")},
	}
}

func wrongValues() []encounter {
	return []encounter{
		{name: "a word in place of a number", args: "usage inspect --limit {sentinel}", code: 2,
			says: "Error: the value of --limit is not a whole number.", hint: howTo("arcade usage inspect")},
		{name: "a word in place of a duration", args: "usage flush --timeout {sentinel}", code: 2,
			says: "Error: the value of --timeout is not a time to wait: seconds, or a duration such as 5m.", hint: howTo("arcade usage flush")},
		{name: "a word in place of a choice", args: "whoami --json={sentinel}", code: 2,
			says: "Error: the value of --json is not true or false.", hint: howTo("arcade whoami")},
		{name: "a port that cannot be", args: "login --port 70000", code: 2,
			says: "Error: the port must be a number from 1 to 65535.", hint: howTo("arcade login")},
		{name: "no time to log in", args: "login --timeout 0s", code: 2,
			says: "Error: the value of --timeout is not a time to wait: seconds, or a duration such as 5m.", hint: howTo("arcade login")},
		{name: "no time to deliver", args: "usage flush --timeout=-1s", code: 2,
			says: "Error: the value of --timeout is not a time to wait: seconds, or a duration such as 5m.", hint: howTo("arcade usage flush")},
		{name: "an unknown state", args: "usage inspect --state lost", code: 2,
			says: "Error: --state is one of pending, delivered, dead and all.", hint: howTo("arcade usage inspect")},
		{name: "less than no messages", args: "usage inspect --limit=-1", code: 2,
			says: "Error: --limit is a number of messages, 0 for all.", hint: howTo("arcade usage inspect")},
		{name: "two messages at once", args: "usage inspect 1 2", code: 2,
			says: "Error: give one number or uuid at most.", hint: howTo("arcade usage inspect")},
		{name: "following one message", args: "usage inspect --follow 1", code: 2,
			says: "Error: --follow goes with --state and --limit only.", hint: howTo("arcade usage inspect")},
		{name: "erasing where nobody can be asked", args: "usage clear", stdin: "y\n", code: 2,
			says: "Error: there is no terminal to ask at: confirm with --yes.", hint: howTo("arcade usage clear")},
		{name: "forgetting where nobody can be asked", args: "usage forget", stdin: "y\n", code: 2,
			says: "Error: there is no terminal to ask at: confirm with --yes.", hint: howTo("arcade usage forget")},
		{name: "a report to no file", args: "usage report --output=", code: 2,
			says: "Error: --output needs a value.", hint: howTo("arcade usage report")},
		{name: "a report in a home without any event", args: "usage report --no-browser", code: 1,
			says: "Error: nothing has been recorded yet, so there is no directory for the report.",
			hint: "Run a command that is recorded, or name a file with --output."},
		{name: "a report into a directory that does not exist", args: "usage report --output nowhere/report.html", code: 1,
			says: "Error: the report cannot be written to nowhere/report.html: no such file or directory.",
			hint: "Name another file with --output, or - for standard output."},
	}
}

func wrongPairs() []encounter {
	wrong := func(name, args, stdin, says string) encounter {
		return encounter{name: name, args: "secret set " + args, stdin: stdin, code: 2, says: "Error: " + says, hint: howTo("arcade secret set")}
	}
	pair := func(name, args, stdin, says, hint string) encounter {
		e := wrong(name, args, stdin, says)
		e.hint = hint
		return e
	}
	const anew, utf8 = "Type it anew.", "Save it as UTF-8."
	const empty, shape = "'arcade secret unset' removes a secret.", "Write KEY=VALUE."
	return []encounter{
		wrong("set without anything", "", "", "either provide KEY=VALUE pairs or use --from-env to load from .env file."),
		wrong("set with an env file and nothing else", "-f .env", "", "--env-file needs --from-env."),
		wrong("standard input as two env files", "--from-env -f - -f -", "", "standard input can be read once: give - to --env-file once."),
		wrong("set with pairs and --from-env", "A={sentinel} --from-env", "",
			"cannot use both KEY=VALUE pairs and --from-env at the same time."),
		pair("a pair without =", "A=1 {sentinel}", "", "argument 2: there is no = in it.",
			"Write KEY=VALUE, or give one KEY and nothing else to be asked for its value."),
		pair("a lone key without a terminal to ask on", "KEY", sentinel, "argument 1: there is no terminal to ask for the value on.",
			"Write KEY=- to read it from standard input."),
		pair("an empty value", "A=1 B=", "", "argument 2 ('B'): the value is empty.", empty),
		pair("a key twice", "A=1 A={sentinel}", "", "argument 2 ('A'): an earlier argument sets the same key.", "Give each key once."),
		pair("UTF-16 on standard input", "B=-", "s\x00"+sentinel, "argument 1 ('B'): there is a zero byte in it, as in UTF-16.", utf8),
		{name: "standard input that cannot be read", args: "secret set B=-", given: directoryAsInput, code: 1,
			says: "Error: the value of 'B' cannot be read: read /dev/stdin: is a directory.",
			hint: "Pipe it in: arcade secret set KEY=- < file"},
		{name: "unset without a key", args: "secret unset", code: 2,
			says: "Error: give at least one key to delete.", hint: howTo("arcade secret unset")},
		{name: "unset with a type and all types", args: "secret unset A --type project --all-types", code: 2,
			says: "Error: --type and --all-types exclude each other.", hint: howTo("arcade secret unset")},
		{name: "a value that is asked for", args: "secret get A", code: 1,
			says: "Error: values cannot be read: the Engine gives them to your tools only, when they run.",
			hint: "'arcade secret list' shows what there is, 'arcade secret set KEY' replaces a value."},
	}
}

func wrongHosts() []encounter {
	wrong := func(name, flags, says string) encounter {
		return encounter{name: name, args: "secret list " + flags, code: 2, says: "Error: " + says, hint: howTo("arcade secret list")}
	}
	return []encounter{
		wrong("an empty host", "--host=", "--host needs a value."),
		wrong("a password in the host", "--host me:{sentinel}@localhost",
			"the host must not contain a user name or password: give the name alone, such as api.arcade.dev."),
		wrong("an address in place of the host", "--host https://api.arcade.dev",
			"the host must not contain http:// or https://: give the name alone, such as api.arcade.dev, and choose with --tls or --no-tls."),
		wrong("a port that is none", "--port {sentinel}", "the port must be a number from 1 to 65535."),
		{name: "an address in place of Cloud's host", args: "login --host https://x/y", code: 2,
			says: "Error: the host must not contain http:// or https://: give the name alone, such as cloud.arcade.dev.", hint: howTo("arcade login")},
		{name: "a Cloud's port that is none", args: "org list --host localhost:99999", code: 2,
			says: "Error: the port must be a number from 1 to 65535.", hint: howTo("arcade org list")},
		{name: "with TLS and without", args: "secret list --tls --no-tls", code: 2,
			says: "Error: --tls and --no-tls exclude each other.", hint: howTo("arcade secret list")},
		{name: "a stored address that cannot be", args: "whoami", given: cloudFile("api: {key: arc_x}", "coordinator_url: http://localhost:80@evil.example"), code: 1,
			says: "Error: the credentials file has an address of Arcade Cloud that cannot be right.",
			hint: "Run 'arcade logout', then 'arcade login'."},
	}
}

func loginEncounters() []encounter {
	return []encounter{
		{name: "a callback port that is in use", args: toBrowser, given: variable(testbed.TestCallback + "={cloud}"), code: 1,
			says: "Error: port {cloud}, where the browser is to report the login, is in use.",
			hint: "End the other 'arcade login', or the program that listens there, and try again."},
		{name: "a machine without loopback", args: toBrowser, given: variable(testbed.TestCallback + "=70000"), code: 1,
			says: "Error: this machine's loopback addresses cannot be listened on.",
			hint: "Log in with an API key: arcade login --host localhost:{cloud} --with-key"},
		{name: "a login that nobody can see", args: toBrowser, code: 1,
			given: func(s *machine, cmd *exec.Cmd) { today(nil)(s, cmd); cmd.Env = append(cmd.Env, "BROWSER=") },
			says:  "Error: there is no browser here, and no terminal to show the login page's address on.",
			hint:  "Set ARCADE_API_KEY, or log in with an API key: arcade login --host localhost:{today} --with-key < key.txt; --no-browser waits for a browser elsewhere."},
		{name: "a login that nobody completes", args: toBrowser + " --no-browser --timeout 50ms", code: 1,
			says: "Error: the login was not completed within 50ms.",
			hint: "Run the command again. If your browser runs on another machine, run 'ssh -L {callback}:127.0.0.1:{callback}' from there to here first, or log in with an API key: arcade login --host localhost:{cloud} --with-key"},
		{name: "a login that is refused in the browser", args: toBrowser, code: 1,
			says: "Error: the login was not completed in the browser.", hint: "Run the command again."},
		{name: "a key that Cloud does not know", args: readKey, stdin: sentinel, code: 1,
			says: "Error: Arcade Cloud does not accept this API key.", hint: "Check the key, and --host or --url."},
		{name: "no key on standard input", args: readKey, stdin: "\n", code: 1,
			says: "Error: there is no key on standard input.", hint: pipeKey},
		{name: "more than a key on standard input", args: readKey, stdin: sentinel + " and more", code: 1,
			says: "Error: this is not an API key: it is too long, or has a character in it that no key has.", hint: pipeKey},
		{name: "a key from an endless input", args: readKey, stdin: strings.Repeat("x", 10_000), code: 1,
			says: "Error: this is not an API key: it is too long, or has a character in it that no key has.", hint: pipeKey},
		{name: "a key that cannot be read", args: readKey, given: directoryAsInput, code: 1,
			says: "Error: the key cannot be read from standard input.", hint: pipeKey},
		{name: "a login that cannot be kept", args: readKey, stdin: "arc_ada", given: homeThatLeadsNowhere, code: 1,
			says: "Error: the credentials cannot be kept: mkdir {home}/.arcade: file exists.",
			hint: "Move ~/.arcade/credentials.yaml away, then run the command again."},
	}
}

// todayEncounters are those with a login in the browser.
func todayEncounters() []encounter {
	const again = "Run the command again."
	login := func(name, says, hint string, change func(b *identitytest.Behaviour)) encounter {
		return encounter{name: name, args: toBrowser, given: today(change), code: 1, says: "Error: " + says, hint: hint}
	}
	after := func(name, args, says, hint string, then func(s *machine, cloud *identitytest.Cloud)) encounter {
		return encounter{name: name, args: args, given: loggedInToday(then), code: 1, says: "Error: " + says, hint: hint}
	}
	return []encounter{
		login("a login that is denied", "the login was refused: access_denied: not today.", again,
			func(b *identitytest.Behaviour) { b.Deny, b.DenyDescription = "access_denied", "not today" }),
		login("a login page without https", "cannot log in at http://localhost:{today}: Arcade Cloud names an address for the login that is not reached by https.",
			"Check --host and the network, then run the command again.",
			func(b *identitytest.Behaviour) { b.TokenURL = "http://token.example.com/token" }),
		login("an account without an organization", "this account belongs to no organization, so there is nothing to work in.",
			"Ask the owner of an organization to invite you, then run 'arcade login' again.",
			func(b *identitytest.Behaviour) { b.SignedIn = "lone@example.com" }),
		login("an organization without a project", "the organization Empty (org_9) has no project.",
			"Make one in Arcade's dashboard, then try again.",
			func(b *identitytest.Behaviour) { b.SignedIn = "empty@example.com" }),
		login("an Arcade Cloud that knows keys only", "http://localhost:{today} has no login in the browser.",
			"Log in with an API key: arcade login --host localhost:{today} --with-key", func(b *identitytest.Behaviour) { b.KeysOnly = true }),
		after("a login that has ended", "org list", "your login has ended.", "Run 'arcade login --host localhost:{today}'.",
			func(s *machine, _ *identitytest.Cloud) { s.expire(); s.spoilRefreshToken() }),
		after("a login that is refused", "whoami", "your login has ended.", "Run 'arcade login --host localhost:{today}'.",
			func(s *machine, _ *identitytest.Cloud) { s.expire(); s.spoilRefreshToken() }),
		after("an unknown organization", "org set nowhere", "there is no organization with this name or id.",
			"There are:\n  Analytical Engines (org_1)\n  Royal Society (org_2)", nil),
		after("a project of which there are two", "project set Twin", "there are several projects of this name.",
			"Give the id of one of them:\n  Twin (proj_4)\n  Twin (proj_5)", nil),
		after("no organization any more", "org set x", "there is no organization that you can work in.", "Make one in Arcade's dashboard.",
			func(_ *machine, cloud *identitytest.Cloud) {
				cloud.Override(identitytest.OrgsPath, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"data":{"items":[]}}`) })
			}),
		after("a login at another Arcade Cloud", "login -h cloud.example.com",
			"you are logged in as ada@example.com at http://localhost:{today}, and there is one login in a context.",
			"Add --context NAME to have both; or run 'arcade logout', then this command again.", nil),
		after("another Arcade Cloud than the login's", "org list -h cloud.example.com",
			"this login belongs to http://localhost:{today}, and its token goes to no other host.",
			"Leave --host, --port, --tls and --no-tls away; or run 'arcade logout', then 'arcade login --host HOST', to log in elsewhere.", nil),
		{name: "neither a name nor an id", args: "org set", code: 2, says: "Error: give a name or an id, and only one.", hint: howTo("arcade org set")},
		{name: "a key of an installation without Arcade Cloud", args: "org --tls list", code: 1,
			given: cloudFile("contexts: {onprem: {kind: self_hosted, engine_url: 'https://engine.example.com', api_key: arc_x}}"),
			says:  "Error: this login is an API key, which belongs to one project and knows no other.",
			hint:  "Run 'arcade logout', then 'arcade login', to log in as a person."},
		{name: "a key that knows no organizations", args: "org list", given: cloudFile("api: {key: arc_x}"), code: 1,
			says: "Error: this login is an API key, which belongs to one project and knows no other.",
			hint: "Run 'arcade logout', then 'arcade login', to log in as a person."},
		{name: "a login without a project", args: "project", given: cloudFile("auth: {access_token: t, refresh_token: r, expires_at: 2090-01-01T00:00:00.123456}"), code: 1,
			says: "Error: this login has no organization and project to work in.", hint: "Run 'arcade login'."},
		{name: "an organization without its project", args: "secret list --org o", code: 2,
			says: "Error: --org needs --project: secrets belong to a project.", hint: howTo("arcade secret list")},
		{name: "a project without its organization", args: "secret list --project p", code: 1,
			says: "Error: a key from ARCADE_API_KEY has no organization.", hint: "Give --org, too."},
		{name: "a command of the Python CLI", args: "deploy -e server.py --help", code: 2,
			says: "Error: this arcade has no 'deploy'; the Python CLI has it.",
			hint: "Run 'arcade-mcp deploy'; without it: 'uv tool install arcade-mcp'."},
		{name: "quotes around a key", args: readKey, stdin: "'arc_x'", code: 1, says: "Error: there are quotes around the key.", hint: pipeKey},
		{name: "a name before a key", args: readKey, stdin: "KEY=arc_x", code: 1, says: "Error: there is a name and an equals sign before the key.", hint: pipeKey},
		{name: "a byte order mark before a key", args: readKey, stdin: "\ufeffarc_x", code: 1,
			says: "Error: there is an invisible byte order mark before the key.", hint: pipeKey},
	}
}

func credentialsEncounters() []encounter {
	const notLoggedIn = "Error: you are not logged in."
	return []encounter{
		{name: "nobody is logged in", args: "whoami", code: 1, says: notLoggedIn, hint: "Run 'arcade login'."},
		{name: "nobody is logged in to set a secret", args: "secret set A={sentinel}", given: variable("ARCADE_API_KEY="), code: 1,
			says: notLoggedIn, hint: "Run 'arcade login', or set ARCADE_API_KEY."},
		{name: "credentials that say nothing", args: "secret list", given: cloudFile("context: {org_id: o, project_id: p}"), code: 1,
			says: notLoggedIn, hint: "Run 'arcade login', or set ARCADE_API_KEY."},
		{name: "a login that others can read", args: "whoami", given: readableLogin, code: 1,
			says: "Error: others can read or change ~/.arcade/credentials.yaml, so its login is not used.",
			hint: "Run 'chmod 600 ~/.arcade/credentials.yaml'."},
		{name: "a context that there is not", args: "whoami", given: selfHosted("ARCADE_CONTEXT=nowhere"), code: 1,
			says: "Error: there is no context of this name.", hint: "There are: onprem."},
		{name: "a key alone beside a self-hosted context", args: "secret list", given: withoutHost(selfHosted("ARCADE_API_KEY=arc_x")), code: 1,
			says: "Error: ARCADE_API_KEY alone goes to Arcade Cloud, and the active context is self-hosted.",
			hint: "Set ARCADE_URL, or give --host api.arcade.dev."},
		{name: "a context without its name", args: "context set", code: 2,
			says: "Error: give the name of a context, and only one.", hint: howTo("arcade context set")},
		{name: "two contexts to show", args: "context show a b", code: 2,
			says: "Error: give the name of a context, and only one.", hint: howTo("arcade context show")},
		{name: "a context with a dot in its name", args: "login --context a.b", code: 1,
			says: "Error: a context's name is a word of letters, digits, - and _, of 64 characters at most, and begins with a letter.", hint: howTo("arcade login")},
		{name: "an installation in two ways", args: "login --url https://arcade.example --host h.example", code: 2,
			says: "Error: --url and --host exclude each other.", hint: howTo("arcade login")},
		{name: "an installation without TLS", args: "login --url http://arcade.example", code: 1,
			says: "Error: --url, and what is found there, have to be addresses with https://, without a password or a query.",
			hint: "Give one such as https://arcade.example.com."},
		{name: "an installation that is none", args: "login --url http://localhost:{cloud}", code: 1,
			says: "Error: this server does not tell where its Arcade is: it predates that, or is no Arcade.",
			hint: "Check --url; or log in with --host HOST, which names its Arcade Cloud."},
		{name: "an installation that does not answer", args: "login --url http://localhost:1", code: 1,
			says: "Error: the installation was not found at --url: localhost:1 cannot be reached (connection refused).",
			hint: "Check --url and the network, then run the command again."},
		{name: "an installation without a Cloud", args: "login --context onprem", given: selfHosted(), code: 1,
			says: "Error: this installation has no Arcade Cloud to log in at.", hint: "Log in with an API key: add --with-key."},
		{name: "an address without a key", args: "secret list", given: withoutHost(selfHosted("ARCADE_URL=https://engine.example")), code: 1,
			says: "Error: ARCADE_URL is set without ARCADE_API_KEY, and says nothing of where the login's secrets are.",
			hint: "Set both or neither, or name a context with ARCADE_CONTEXT."},
		{name: "an address without TLS", args: "secret list", given: withoutHost(selfHosted("ARCADE_API_KEY=arc_x", "ARCADE_URL=http://engine.example")), code: 1,
			says: "Error: ARCADE_URL is not the address of an Engine: https:// and a host, without a path or a password.",
			hint: "Set it to one such as https://engine.example.com."},
		{name: "a login that names an Engine without TLS", args: "secret list", given: withoutHost(cloudFile(
			"auth: {access_token: t, refresh_token: r, expires_at: 2090-01-01T00:00:00.123456}",
			"context: {org_id: o, org_name: O, project_id: p, project_name: P}", "engine_url: http://engine.example")), code: 1,
			says: "Error: the login names an Engine that it cannot be sent to: http://engine.example.", hint: "Name the Engine with --host."},
		{name: "a token that has expired", args: "secret list", code: 1,
			given: cloudFile("auth: {access_token: " + sentinel + ", expires_at: 2020-01-01T00:00:00.123456}"),
			says:  "Error: your login has ended.", hint: "Run 'arcade login'."},
		{name: "damaged credentials", args: "whoami", given: cloudFile("[" + sentinel), code: 1,
			says: "Error: the credentials file is damaged.", hint: "Run 'arcade logout', which removes it, then 'arcade login'."},
		{name: "credentials that cannot be read", args: "whoami", given: directoryAsCredentials, code: 1,
			says: "Error: the credentials file cannot be used: not a regular file.",
			hint: "Move ~/.arcade/credentials.yaml away, then run the command again."},
		{name: "credentials that cannot be removed", args: "logout", given: directoryAsCredentials, code: 1,
			says: "Error: the credentials file cannot be removed: remove {home}/.arcade/credentials.yaml: directory not empty.",
			hint: "Move ~/.arcade/credentials.yaml away, then run the command again."},
		{name: "a home that is a file", args: "whoami", given: fileAsHome, code: 1,
			says: "Error: the credentials file cannot be used: ~/.arcade is not a directory.", hint: moveAway},
		{name: "a key in force that Cloud does not know", args: "whoami", given: keyInForce, code: 1,
			says: "Error: Arcade Cloud does not accept the key in ARCADE_API_KEY.", hint: "Correct ARCADE_API_KEY, or remove it."},
		{name: "a login by a key that Cloud does not know", args: "whoami", given: func(s *machine, _ *exec.Cmd) { s.WriteCredentials(sentinel) }, code: 1,
			says: "Error: this key is not valid any more.", hint: "Run 'arcade login --host 127.0.0.1:{cloud}'."},
		{name: "no home", args: "whoami", given: variable("HOME="), code: 1,
			says: "Error: there is no home directory to keep files in.",
			hint: "Set " + track.HomeVariable + ", or set ARCADE_WORK_DIR to a directory of your choice."},
	}
}

func envFileEncounters() []encounter {
	bad := func(name, content, says, hint string) encounter {
		return encounter{name: name, args: "secret set --from-env -f bad.env", given: file("bad.env", content), code: 1,
			says: "Error: " + says, hint: hint}
	}
	refused := func(name, content, what, hint string) encounter {
		return bad("an env file with "+name, content, "'bad.env' is refused and nothing is sent: line 1 has "+what+".", hint)
	}
	return []encounter{
		{name: "no env file", args: "secret set --from-env", code: 1,
			says: "Error: cannot use '.env': there is no such file.", hint: "Name one with --env-file."},
		{name: "a directory in place of an env file", args: "secret set --from-env -f .", code: 1,
			says: "Error: cannot use '.': it is a directory.", hint: "Name the file in it with --env-file."},
		{name: "an env file that cannot be read", args: "secret set --from-env -f file/bad.env", code: 1,
			given: func(s *machine, cmd *exec.Cmd) { onlyUnixSaysSo(s); file("file", "")(s, cmd) },
			says:  "Error: cannot use 'file/bad.env': it cannot be read.", hint: "Check its permissions."},
		bad("an env file that is not UTF-8", "A="+sentinel+"\nB=\xff\n", "cannot use 'bad.env': it is not UTF-8 text.", "Save it as UTF-8."),
		refused("an open quote", `A="`+sentinel, "a quote that is never closed",
			"Close it, or take the quote for a part of the value by putting the other quotes around it."),
		refused("a PEM block without quotes", "A=-----BEGIN "+sentinel, "a value that has only begun",
			"Put quotes around all its lines, or pipe it in: arcade secret set KEY=- < file"),
		bad("an env file with more of a value", "A="+sentinel+"\n"+sentinel, "'bad.env' is refused and nothing is sent: line 2 has text without = right behind a value, as if it went on.",
			"Put quotes around all lines of the value; an empty line before the text says that it is none of them."),
		{name: "standard input that is no env file", args: "secret set --from-env -f -", stdin: sentinel + "/=", code: 1,
			says: "Error: 'standard input' is refused and nothing is sent: line 1 has a key that is no name.",
			hint: "A key has at most 256 letters, digits, _, - and ., starts with none of 0-9 and -, and ends at the =."},
		{name: "nothing on standard input", args: "secret set --from-env -f -", code: 1,
			says: "Error: there is no KEY=VALUE in 'standard input'.", hint: "Check the program that writes it."},
		bad("an empty env file", "", "there is no KEY=VALUE in 'bad.env'.", "Name another file with --env-file."),
	}
}

func engineEncounters() []encounter {
	status := func(code int, says, hint string) encounter {
		return encounter{name: fmt.Sprint("the Engine answers with ", code), args: "secret list",
			given: engineFails(secretstest.Fault{Mode: secretstest.Status, Status: code}), code: 1,
			says: fmt.Sprintf("Error: %s (HTTP %d).", says, code), hint: hint}
	}
	forbidden := engineFails(secretstest.Fault{Mode: secretstest.Status, Status: 403})
	const administrator = "Ask an administrator of the project."
	const whatAnswers, where = "Error: what answers there is not an Arcade Engine.", "Check --host and --port."
	return []encounter{
		status(400, "the Engine refuses the request", "Check --host, and whether there is a newer arcade."),
		status(401, "the Engine does not accept the credentials", "Check ARCADE_API_KEY and --host, or unset the key."),
		status(403, "these credentials do not permit it", administrator),
		status(404, "the Engine does not know this project", "Check --host, and that the project still exists."),
		{name: "a proxy that asks for a password", args: "secret list", code: 1,
			given: engineFails(secretstest.Fault{Mode: secretstest.Status, Status: 407}),
			says:  "Error: the proxy asks for a password.", hint: "Set HTTPS_PROXY to http://user:password@proxy:port."},
		{name: "the Engine asks to wait too long", args: "secret list", code: 1,
			given: engineFails(secretstest.Fault{Mode: secretstest.Status, Status: 429, RetryAfter: "600"}),
			says:  "Error: the Engine asks to be left alone for a while (HTTP 429).", hint: "Try again in 10 min."},
		status(500, "the Engine has trouble of its own", "Try again in a while."),
		{name: "a redirect", args: "secret list", code: 1,
			given: engineFails(secretstest.Fault{Mode: secretstest.Redirect, Location: "http://localhost:1/" + sentinel}),
			says:  "Error: the Engine's address leads elsewhere (HTTP 307).",
			hint:  "Check --host, --port, --tls or --no-tls and any proxy, or log in to this network with a browser."},
		{name: "a captive portal", args: "secret list", given: engineFails(secretstest.Fault{Mode: secretstest.Page}), code: 1,
			says: "Error: a page of this network answers in the Engine's place (HTTP 200).", hint: "Log in to this network with a browser."},
		{name: "another program at the Engine's port", args: "secret list", given: engineFails(secretstest.Fault{Mode: secretstest.Body, Body: "{sentinel"}), code: 1,
			says: whatAnswers, hint: where},
		unusableKey("with a blank in it", sentinel+" x", "this is not an API key: it is too long, or has a character in it that no key has"),
		unusableKey("in quotes", `"`+sentinel+`"`, "there are quotes around the key"),
		unusableKey("with its name", "ARCADE_API_KEY="+sentinel, "there is a name and an equals sign before the key"),
		unusableKey("with a byte order mark", "\ufeff"+sentinel, "there is an invisible byte order mark before the key"),
		unusableKey("with a control character", sentinel+"\x1b[0m", "this is not an API key: it is too long, or has a character in it that no key has"),
		{name: "one secret that is not set", args: "secret set A={sentinel}", given: forbidden, code: 1,
			says: "Error setting secret 'A': these credentials do not permit it (HTTP 403)", hint: administrator},
		{name: "two of three secrets that are not set", args: "secret set A={sentinel} B=2 C={sentinel}", code: 1,
			given: func(s *machine, _ *exec.Cmd) {
				s.Engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 422, Key: "A"})
				s.Engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 413, Key: "C"})
			},
			says: "Error setting secret 'A': the Engine refuses this key or its value (HTTP 422). Check the name of the key, and that the value is what you meant.\n" +
				"Error setting secret 'C': the value is too large for the Engine (HTTP 413). Give a shorter one.",
			hint: "Error: 1 secret set, 2 failed."},
		setFails("a key that is in use", secretstest.Fault{Mode: secretstest.Status, Status: 409}, "the Engine has this key in use already (HTTP 409)",
			"Look at 'arcade secret list', or unset it first."),
		setFails("a key that is too long", secretstest.Fault{Mode: secretstest.Status, Status: 414}, "the key is too long for the Engine (HTTP 414)",
			"Give a shorter one."),
		setFails("an error in an answer that says that all went well", secretstest.Fault{Mode: secretstest.Body, Body: `{"error": "` + sentinel + `"}`},
			"the Engine reports an error in an answer that says that all went well", "Try again in a while."),
		{name: "one secret that is not deleted", args: "secret unset A", given: refusesToDelete, code: 1,
			says: "Failed to delete secret 'A': these credentials do not permit it (HTTP 403)", hint: administrator},
		{name: "a secret that somebody else changes", args: "secret unset A", code: 1,
			given: func(s *machine, cmd *exec.Cmd) {
				s.Engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 409, Method: "DELETE"})
				refusesToDelete(s, cmd)
			},
			says: "Failed to delete secret 'A': another change to it is under way (HTTP 409)", hint: "Try again."},
		{name: "several secrets with one key", args: "secret unset A", code: 1,
			given: engineAnswers(`{"items": [{"id": "1", "key": "A", "binding": {"type": "project"}}, {"id": "2", "key": "A", "binding": {"type": "user"}}]}`),
			says:  "Failed to delete secret 'A': there are 2 secrets with this key, of the types project, user",
			hint:  "Choose one with --type, or delete all with --all-types."},
		{name: "several secrets with one key and type", args: "secret unset A", code: 1,
			given: engineAnswers(`{"items": [{"id": "1", "key": "A", "binding": {"type": "project"}}, {"id": "2", "key": "A", "binding": {"type": "project"}}]}`),
			says:  "Failed to delete secret 'A': there are 2 secrets with this key, all of the type project",
			hint:  "Delete them with --all-types."},
		{name: "a key without a secret", args: "secret unset A", code: 1,
			says: "Error: there is no secret with this key.", hint: "'arcade secret list' shows what there is."},
		{name: "a list that goes round in circles", args: "secret list", code: 1,
			given: engineAnswers(`{"items": [{"id": "1", "key": "A"}], "total_count": 2}`),
			says:  "Error: the Engine does not send the whole list of secrets.", hint: "Try again in a while."},
	}
}

// unusableKey is a variable that holds no key.
func unusableKey(name, key, why string) encounter {
	return encounter{name: "a variable with a key " + name, args: "secret list", given: variable("ARCADE_API_KEY=" + key), code: 1,
		says: "Error: the key in ARCADE_API_KEY cannot be used: " + why + ".", hint: "Correct the variable, or unset it."}
}

func setFails(name string, fault secretstest.Fault, says, hint string) encounter {
	return encounter{name: name, args: "secret set A={sentinel}", given: engineFails(fault), code: 1, says: "Error setting secret 'A': " + says, hint: hint}
}

// engineAnswers is an Engine whose list is this document.
func engineAnswers(document string) func(*machine, *exec.Cmd) {
	return func(s *machine, _ *exec.Cmd) { s.Engine.Answer(document) }
}

func connectionEncounters() []encounter {
	const again = "Check --host, --port and the network, then run the command again."
	return []encounter{
		{name: "nobody listens", args: "secret list --port 1", code: 1,
			says: "Error: the Engine cannot be reached (localhost:1: connection refused).", hint: again},
		{name: "an Engine without TLS", args: "secret list --tls", code: 1,
			says: "Error: what answers is not the Engine (localhost:{engine}: something that does not speak TLS answered).",
			hint: "Check --host, --port, --tls or --no-tls and any proxy, or log in to this network with a browser."},
		{name: "an Engine that nobody vouches for", args: "secret list --tls", given: engineOfNoAuthority, code: 1,
			says: "Error: the certificate that is shown for the Engine is not valid (localhost:{engine}: certificate for another name).",
			hint: "Check --host, --port, --tls or --no-tls and any proxy, or log in to this network with a browser."},
		{name: "an Engine that hangs up", args: "secret list", given: engineFails(secretstest.Fault{Mode: secretstest.HangUp}), code: 1,
			says: "Error: the connection to the Engine breaks before the answer is complete (localhost:{engine}: connection closed early).", hint: again},
	}
}

func usageEncounters() []encounter {
	return []encounter{
		{name: "a message that is not there", args: "usage inspect 77", code: 1,
			says: "Error: there is no message with that number or uuid.",
			hint: "'arcade usage inspect --limit 0' lists all; receipts of delivered ones are kept for 7 days."},
		{name: "a message that is damaged", args: "usage inspect 1", code: 1,
			given: afterwards(`UPDATE messages SET properties = '[]'`),
			says:  "Error: this message is damaged and cannot be put on the wire.",
			hint:  "It is settled as dead when it is its turn; 'arcade usage inspect --json' shows what is left of it."},
		{name: "an alias that waits", args: "usage inspect 2", given: aliasThatWaits, code: 1,
			says: "Error: this alias waits until Arcade Cloud says who you are.",
			hint: "The next delivery asks: run 'arcade usage flush'."},
	}
}

// The words are those of advice.Table; every line of it that a process can meet stands here or in
// TestEveryReasonIsMet.
func flushEncounters() []encounter {
	flush := func(name, setting, says, hint string) encounter {
		return encounter{name: "a flush " + name, args: "usage flush", code: 1, says: "Error: " + says, hint: hint,
			given: func(s *machine, cmd *exec.Cmd) { offlineEvent(s, cmd); variable(setting)(s, cmd) }}
	}
	answered := func(name, fault, says, hint string) encounter {
		return encounter{name: "a flush when " + name, args: "usage flush", code: 1, says: "Error: " + says, hint: hint,
			given: func(s *machine, cmd *exec.Cmd) {
				offlineEvent(s, cmd)
				s.Online()
				s.Posthog.SetFault(outboxtest.MustFault(fault))
			}}
	}
	return []encounter{
		flush("without a network", "X=", "PostHog cannot be reached (connection refused).", kept),
		flush("without a PostHog key", "ARCADE_USAGE_KEY=", "no PostHog key is set, so nothing is sent.",
			"Set ARCADE_USAGE_KEY; only release builds bring a key along."),
		flush("to an address without a scheme", "ARCADE_USAGE_HOST=us.i.posthog.com",
			"the address of PostHog cannot be right (the address does not start with https:// or http://).",
			"Set ARCADE_USAGE_HOST to one like https://us.i.posthog.com, or remove it."),
		answered("PostHog has trouble", "503", "PostHog has trouble of its own (HTTP 503).", kept),
		answered("the key is not taken", "401", "PostHog does not take the key (HTTP 401).", "Correct ARCADE_USAGE_KEY, or remove it."),
		answered("the connection breaks", "reset-after-body", "the connection to PostHog breaks before the answer is complete (connection reset).", kept),
		answered("the quota is used up", "quota-limited", "PostHog's quota is used up.", kept),
		answered("a portal answers", "portal", "a page of this network answers in PostHog's place (HTTP 200).",
			"Log in to this network with a browser."),
		answered("the address leads elsewhere", "302", "PostHog's address leads elsewhere (HTTP 302).",
			"Check ARCADE_USAGE_HOST and any proxy, or log in to this network with a browser."),
		answered("a proxy asks for a password", "407", "the proxy asks for a password.",
			"Set HTTPS_PROXY to http://user:password@proxy:port."),
		answered("something else answers", "404", "what answers is not PostHog (HTTP 404).", "Check ARCADE_USAGE_HOST and any proxy, or log in to this network with a browser."),
		{name: "a flush that the server does not want yet", args: "usage flush", given: toldToWait, code: 1,
			says: "Error: PostHog asks to be left alone for a while (HTTP 429).",
			hint: "Nothing is lost. The first command after 30 min tries again."},
		{name: "a flush while another one waits for an answer", args: "usage flush --timeout 100ms", given: busyFlusher, code: 1,
			says: "Error: another flusher was at work until the time was up.",
			hint: "Run 'arcade usage flush --timeout 60s'."},
		{name: "a retry of nothing", args: "usage retry 99", given: offlineEvent, code: 1,
			says: "Error: no dead message has this number or uuid.", hint: "'arcade usage inspect --state dead' shows those that are."},
	}
}

func databaseEncounters() []encounter {
	return []encounter{
		{name: "a database that is none", args: "usage inspect", given: file(".arcade/usage.db", strings.Repeat("no database ", 100)), code: 1,
			says: "Error: the usage database is damaged.", hint: "The next recorded command replaces it, and keeps what can be read."},
		{name: "a directory in place of the database", args: "usage flush", given: file(".arcade/usage.db/x", ""), code: 1,
			says: "Error: ~/.arcade/usage.db is not a file.", hint: moveAway},
		{name: "a home in which there can be no database", args: "usage enable", given: fileAsHome, code: 1,
			says: "Error: ~/.arcade is not a directory.", hint: moveAway},
		{name: "a database of a newer version", args: "usage inspect", given: afterwards(`PRAGMA user_version = 99`), code: 1,
			says: "Error: the usage database was written by a newer arcade.",
			hint: "Update arcade. Until then this version neither records nor delivers."},
		{name: "another program's database", args: "usage inspect", given: afterwards(`DROP TABLE messages; PRAGMA application_id = 77`), code: 1,
			says: "Error: ~/.arcade/usage.db is another program's database.", hint: moveAway},
	}
}

func otherEncounters() []encounter {
	return []encounter{
		{name: "an output that is full", args: "usage status", given: fullOutput, code: 1,
			says: "Error: the output cannot be written: no space left on device.",
			hint: "Check the file or the program that it goes to."},
		{name: "a full output for the help", args: "usage --help", given: fullOutput, code: 1,
			says: "Error: the output cannot be written: no space left on device.",
			hint: "Check the file or the program that it goes to."},
		{name: "a full output for the version", args: "--version", given: fullOutput, code: 1,
			says: "Error: the output cannot be written: no space left on device.",
			hint: "Check the file or the program that it goes to."},
		{name: "an unforeseen error", args: "fail x", code: 1,
			says: "Error: server said: x.", hint: reporting},
		{name: "a bug", args: "panic {sentinel}", code: 1,
			says: "Error: arcade ran into a bug of its own and stopped.",
			hint: "Please report it, with these lines, at https://github.com/ArcadeAI/arcade-cli/issues"},
	}
}
