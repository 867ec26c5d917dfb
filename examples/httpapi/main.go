// Command httpapi is a small HTTP service over a slow SQL database, with a
// Loader between them: users are read through a Ristretto cache, absent ones are
// remembered, a write is seen by every request that starts after it was
// answered, and at SIGINT or SIGTERM what is under way is brought to its end.
// From this folder:
//
//	go run .
//	curl -i localhost:8080/users/42
//	curl -i -X PUT -d '{"name":"Ann"}' localhost:8080/users/42
//	curl localhost:8080/debug/stats
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/corralcache/corral"
)

// options are those of the service's Loader; what each does for this service:
var options = corral.Options{
	TTL:          10 * time.Second, // a user is read from SQL every 10 s at the most,
	StaleFor:     time.Minute,      // without anybody waiting for it,
	StaleIfError: time.Hour,        // and is still there while SQL is down.
	AbsentTTL:    5 * time.Second,  // Asking for users that do not exist costs little.
	Jitter:       0.1,              // What was read together is not read again together.
	LoadTimeout:  5 * time.Second,
	MaxLoads:     16, // SQL never has more to do at once.
}

func main() {
	addr := flag.String("addr", "localhost:8080", "where to listen")
	delay := flag.Duration("delay", 200*time.Millisecond, "what SQL takes for an answer")
	timeout := flag.Duration("timeout", 2*time.Second, "how long a request may wait for one")
	grace := flag.Duration("grace", 10*time.Second, "how long requests may go on once the service is told to stop")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, *addr, *delay, *timeout, *grace); err != nil {
		log.Fatal(err)
	}
}

// run serves users from a new database until ctx ends.
func run(ctx context.Context, addr string, delay, timeout, grace time.Duration) error {
	dir, err := os.MkdirTemp("", "corral-httpapi-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	service, err := newService(ctx, filepath.Join(dir, "users.db"), delay, timeout, options)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return errors.Join(err, service.close(ctx))
	}
	log.Printf("listening on http://%s", ln.Addr())
	return serve(ctx, ln, service, grace)
}

// serve answers requests until ctx ends, then brings to its end what is under
// way, within grace: first the requests, then the loads that nobody waits for
// any longer, then what they used.
func serve(ctx context.Context, ln net.Listener, s *service, grace time.Duration) error {
	server := &http.Server{Handler: s.routes(), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(ln) }()
	var errs []error
	select {
	case err := <-failed:
		errs = append(errs, err)
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := server.Shutdown(ending); err != nil {
		errs = append(errs, fmt.Errorf("requests were cut off: %w", err), server.Close())
	}
	if err := s.close(ending); err != nil {
		errs = append(errs, fmt.Errorf("loads were cut off: %w", err))
	}
	return errors.Join(errs...)
}
