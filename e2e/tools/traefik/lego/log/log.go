// Package log holds the logger that Traefik sets.
package log

// StdLogger is what Traefik's wrapper offers.
type StdLogger interface {
	Fatal(args ...any)
	Fatalln(args ...any)
	Fatalf(format string, args ...any)
	Print(args ...any)
	Println(args ...any)
	Printf(format string, args ...any)
}

// Logger is set by Traefik and never written to.
var Logger StdLogger
