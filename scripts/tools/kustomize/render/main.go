// The renderer: what `kustomize build` prints for many folders, in one process. Reads folders from standard input, each
// ended by a zero byte, and answers each, in their order, as soon as it is built: "ok" or "error", a space, the number of
// bytes, a line's end, and the bytes: what kustomize prints, or what it says.
//
// One folder after the other: kustomize's library keeps the schema in global variables, so what renders at once is several
// of these processes. What breaks a build down (panic, memory) ends the process, as it ends kustomize.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"log"
	"os"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/kustomize/kyaml/openapi/kubernetesapi"
)

func main() {
	folders := make(chan string)
	go read(folders)
	// Most of the first build: whoever starts this has something else to do first.
	openapi.Schema()
	out := bufio.NewWriter(os.Stdout)
	for folder := range folders {
		word := "ok"
		text, err := build(folder)
		if err != nil {
			word, text = "error", []byte(err.Error())
		}
		fmt.Fprintf(out, "%s %d\n", word, len(text))
		out.Write(text)
		if err := out.Flush(); err != nil {
			log.Fatal(err)
		}
	}
}

// As cmd/build does without a flag.
func build(folder string) ([]byte, error) {
	if openapi.GetSchemaVersion() != kubernetesapi.DefaultOpenAPI {
		// The schema of a folder before this one, which kustomize would keep.
		openapi.ResetOpenAPI()
	}
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified
	resources, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, err
	}
	return resources.AsYaml()
}

// The process ends with its input, also in the middle of a build: who asks has died, or needs it no more.
func read(folders chan<- string) {
	input := bufio.NewScanner(os.Stdin)
	input.Split(untilZero)
	for input.Scan() {
		folders <- input.Text()
	}
	if err := input.Err(); err != nil {
		log.Fatal(err)
	}
	os.Exit(0)
}

func untilZero(data []byte, _ bool) (int, []byte, error) {
	if end := bytes.IndexByte(data, 0); end >= 0 {
		return end + 1, data[:end], nil
	}
	return 0, nil, nil
}
