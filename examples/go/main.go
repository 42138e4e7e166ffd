// Greets from Go.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
)

func main() {
	instance := uuid.NewString()
	router := chi.NewRouter()
	router.Use(middleware.RequestID, middleware.Logger, middleware.Recoverer)
	router.Get("/", func(answer http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(answer, "Hello from Go\ninstance %s\n", instance)
	})

	// A new release takes over: answer what is under way, then go.
	ended, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()

	// With a Postgres beside it: DATABASE_URL comes from a databaseRef.
	if url := os.Getenv("DATABASE_URL"); url != "" {
		pool, err := pgxpool.New(ended, url)
		if err != nil {
			log.Fatal(err)
		}
		router.Get("/now", now(pool))
	}

	// Trackbed says where to listen.
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	server := &http.Server{Addr: ":" + port, Handler: router, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() {
		<-ended.Done()
		if err := server.Shutdown(context.Background()); err != nil {
			log.Print(err)
		}
		close(done)
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	<-done
}

func now(pool *pgxpool.Pool) http.HandlerFunc {
	return func(answer http.ResponseWriter, request *http.Request) {
		var now time.Time
		if err := pool.QueryRow(request.Context(), "SELECT now()").Scan(&now); err != nil {
			http.Error(answer, "the database does not answer", http.StatusServiceUnavailable)
			return
		}
		answer.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(answer).Encode(now); err != nil {
			log.Print(err)
		}
	}
}
