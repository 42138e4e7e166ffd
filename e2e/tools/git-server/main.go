// A small git host: `git http-backend` behind HTTP, as the cluster's source of
// code. Repositories below the root are read by anyone; below /private/ a user
// and password from the file are asked for. Pushing asks for them too, except from
// the trusted address, and makes a repository that is not there yet.
package main

import (
	"bufio"
	"crypto/subtle"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:3000", "address to listen at")
	root := flag.String("root", "", "folder of the bare repositories")
	users := flag.String("users", "", "file of user:password lines")
	trusted := flag.String("trusted", "", "address that may push to public repositories without a password")
	backend := flag.String("backend", "/usr/lib/git-core/git-http-backend", "path of git http-backend")
	flag.Parse()

	git := &cgi.Handler{
		Path: *backend,
		Dir:  *root,
		Env: []string{
			"GIT_PROJECT_ROOT=" + *root,
			"GIT_HTTP_EXPORT_ALL=1",
			"GIT_CONFIG_COUNT=2",
			"GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
			"GIT_CONFIG_KEY_1=http.receivepack", "GIT_CONFIG_VALUE_1=true",
		},
	}
	http.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		push := strings.HasSuffix(r.URL.Path, "/git-receive-pack") ||
			r.URL.Query().Get("service") == "git-receive-pack"
		user, password, given := r.BasicAuth()
		r.URL.Path = filepath.Clean(r.URL.Path)
		private := strings.HasPrefix(r.URL.Path, "/private/")
		from, _, _ := net.SplitHostPort(r.RemoteAddr)
		if private || given || (push && from != *trusted) {
			if !known(*users, user, password) {
				w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
				http.Error(w, "a user and password are needed", http.StatusUnauthorized)
				return
			}
		}
		if push {
			if err := create(*root, r.URL.Path); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
		// The backend answers 404 by itself where there is no repository.
		git.ServeHTTP(w, r)
	})
	server := &http.Server{Addr: *listen, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// create makes the repository that the path of a push names. The path is clean.
func create(root, path string) error {
	name, _, found := strings.Cut(path, ".git/")
	if !found || strings.Contains(name, "/.") {
		return nil
	}
	repository := filepath.Join(root, name+".git")
	if _, err := os.Stat(filepath.Join(repository, "HEAD")); err == nil {
		return nil
	}
	for _, words := range [][]string{
		{"init", "--quiet", "--bare", "--initial-branch=main", repository},
		// A single commit is asked for by its name.
		{"--git-dir", repository, "config", "uploadpack.allowAnySHA1InWant", "true"},
	} {
		if err := exec.Command("git", words...).Run(); err != nil {
			return fmt.Errorf("making the repository %s: %w", name, err)
		}
	}
	return nil
}

// known looks into the file each time: users may be added while this runs.
func known(file, user, password string) bool {
	lines, err := os.Open(file)
	if err != nil {
		return false
	}
	defer lines.Close()
	want, found := []byte(user+":"+password), 0
	for scan := bufio.NewScanner(lines); scan.Scan(); {
		found |= subtle.ConstantTimeCompare(scan.Bytes(), want)
	}
	return user != "" && found == 1
}
