package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"strconv"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/ristrettoadapter"
	"github.com/dgraph-io/ristretto/v2"
)

// service is the HTTP side: users out of a Loader over a cache over the store.
type service struct {
	store   *store
	cache   *ristretto.Cache[int64, ristrettoadapter.Item[User]]
	users   *corral.Loader[int64, User]
	load    corral.LoadFunc[int64, User] // store.user, made once: a hit then allocates nothing for it
	timeout time.Duration
}

func newService(ctx context.Context, path string, delay, timeout time.Duration, opts corral.Options) (*service, error) {
	cache, err := ristretto.NewCache(&ristretto.Config[int64, ristrettoadapter.Item[User]]{
		NumCounters: 100_000, MaxCost: 10_000, BufferItems: 64, IgnoreInternalCost: true,
	})
	if err != nil {
		return nil, err
	}
	users, err := corral.New(ristrettoadapter.New(cache, ristrettoadapter.Options[User]{}), opts)
	if err != nil {
		cache.Close()
		return nil, err
	}
	store, err := openStore(ctx, path, delay)
	if err != nil {
		cache.Close()
		return nil, err
	}
	return &service{store, cache, users, store.user, timeout}, nil
}

// close ends the loads, those that last longer than ctx with an error, and then
// what they used.
func (s *service) close(ctx context.Context) error {
	err := s.users.Close(ctx)
	s.cache.Close()
	return errors.Join(err, s.store.db.Close())
}

func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", s.getUser)
	mux.HandleFunc("PUT /users/{id}", s.putUser)
	mux.HandleFunc("GET /debug/stats", s.getStats)
	return mux
}

// getUser waits for at most s.timeout, and only while the client does. The load
// that it may have started goes on: the next request finds its value.
func (s *service) getUser(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		http.Error(w, "the id must be an integer", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.timeout)
	defer cancel()
	res, err := s.users.Lookup(ctx, id, s.load)
	w.Header().Set("Cache-Status", res.CacheStatus())
	if err != nil {
		fail(w, r, err)
		return
	}
	reply(w, res.Value)
}

const maxBody = 1 << 16

func (s *service) putUser(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		http.Error(w, "the id must be an integer", http.StatusBadRequest)
		return
	}
	var u User
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&u); err != nil || u.Name == "" {
		http.Error(w, `the body must be a JSON object such as {"name":"Ann"}`, http.StatusBadRequest)
		return
	}
	u.ID = id
	if err := s.write(r.Context(), u); err != nil {
		fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// write writes to SQL, then deletes what is cached. Once it has returned nil no
// request that starts later gets what was there before; after an error some may,
// for as long as the options say.
//
// The delete also runs when the write failed, since it may have been done all
// the same, and when the client is gone. A Set instead of the Delete could leave
// the older of two users in the cache whose writes met: the order of the Sets
// need not be that of the writes.
func (s *service) write(ctx context.Context, u User) error {
	bounded, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := s.store.put(bounded, u)
	return errors.Join(err, s.users.Delete(context.WithoutCancel(ctx), u.ID))
}

func (s *service) getStats(w http.ResponseWriter, _ *http.Request) {
	reply(w, struct {
		Queries int64 // as the store counts them
		corral.Stats
	}{s.store.queries.Load(), s.users.Stats()})
}

// statusClientGone is what nginx logs for a client that did not wait. No client
// sees it.
const statusClientGone = 499

// fail answers with the status that err stands for. The source's own words are
// for the log.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	switch {
	case r.Context().Err() != nil:
		status = statusClientGone
	case errors.Is(err, corral.ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, corral.ErrClosed):
		status = http.StatusServiceUnavailable
	case errors.Is(err, context.DeadlineExceeded):
		status = http.StatusGatewayTimeout
	}
	if status != http.StatusNotFound && status != statusClientGone {
		log.Printf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	http.Error(w, http.StatusText(status), status)
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		log.Printf("a reply was cut off: %v", err)
	}
}
