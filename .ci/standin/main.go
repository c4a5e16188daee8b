// Command standin answers for Arcade, Cloud and Engine, in .ci/demo and .ci/pictures. It prints the ports of the two,
// and knows one account.
package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

func main() {
	cloud, engine := identitytest.Start(), secretstest.Start("arc_demo")
	cloud.Override(identitytest.ValidatePath, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"data": {"principal_id": "user_ada", "email": "ada@example.com"}}`)
	})
	fmt.Println(port(cloud.URL), port(engine.URL))
	select {}
}

func port(address string) string { return address[strings.LastIndex(address, ":")+1:] }
