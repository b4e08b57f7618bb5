// grpc-go's own xDS client, spoken to over pipes: each line of input is a number of calls to the
// target, each line of output says who answered how many, as JSON.
//
//	GRPC_XDS_BOOTSTRAP_CONFIG=... xdsclient xds:///HOST:PORT
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/credentials/xds"
	_ "google.golang.org/grpc/xds"
)

const method = "/test.Greeter/Greet"

// raw passes messages as they are: the greeter's answer is its name, in no encoding.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (raw) Name() string { return "raw" }

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: xdsclient xds:///HOST:PORT")
	}
	// Plaintext, unless a cluster says otherwise.
	creds, err := xds.NewClientCredentials(xds.ClientOptions{FallbackCreds: insecure.NewCredentials()})
	if err != nil {
		log.Fatal(err)
	}
	conn, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(creds))
	if err != nil {
		log.Fatal(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		times, err := strconv.Atoi(lines.Text())
		if err != nil {
			log.Fatal(err)
		}
		answers := map[string]int{}
		for range times {
			answers[greet(conn)]++
		}
		text, _ := json.Marshal(answers)
		fmt.Println(string(text))
	}
}

// greet calls once; what went wrong is an answer too.
func greet(conn *grpc.ClientConn) string {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	request, answer := []byte{}, []byte{}
	err := conn.Invoke(ctx, method, &request, &answer, grpc.ForceCodec(raw{}), grpc.WaitForReady(true))
	if err != nil {
		return err.Error()
	}
	return string(answer)
}
