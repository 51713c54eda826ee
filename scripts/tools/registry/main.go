// The registry of CNCF Distribution, in memory and on loopback: its own handlers without the clouds' storages, tracing and
// metrics of cmd/registry, which take two minutes to build. Reads its configuration from standard input and prints its address.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"

	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/auth/token"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
)

func main() {
	config, err := configuration.Parse(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", config.HTTP.Addr)
	if err != nil {
		log.Fatal(err)
	}
	app := handlers.NewApp(context.Background(), config)
	fmt.Println(listener.Addr())
	log.Fatal(http.Serve(listener, app))
}
