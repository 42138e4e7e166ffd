package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The folder of the volumes: a file each, with a file system as large as the file in it.
type files string

// The path of a volume's file. Names become paths: none may climb.
func (folder files) path(id string) (string, error) {
	if id == "" || id != filepath.Base(id) || strings.HasPrefix(id, ".") {
		return "", status.Errorf(codes.InvalidArgument, "%q is no name of a volume", id)
	}
	return filepath.Join(string(folder), id), nil
}

// A volume's file and its size in bytes.
func (folder files) find(id string) (string, int64, error) {
	path, err := folder.path(id)
	if err != nil {
		return "", 0, err
	}
	file, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", 0, status.Errorf(codes.NotFound, "there is no volume %s", id)
	}
	if err != nil {
		return "", 0, err
	}
	return path, file.Size(), nil
}

// Makes a volume. What it takes on the disk is what is written to it.
func (folder files) create(path string, size int64) error {
	// A name that no volume has, so that nobody ever finds half of one.
	draft := filepath.Join(string(folder), ".new-"+filepath.Base(path))
	file, err := os.Create(draft)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Truncate(size), file.Close()); err != nil {
		return err
	}
	// XFS, for ext4 grows under its users' feet only for who may exceed the machine's limits
	// (CAP_SYS_RESOURCE), which root in a container often may not.
	if _, err := run("mkfs.xfs", "-q", "-f", draft); err != nil {
		return err
	}
	return os.Rename(draft, path)
}

// Runs a program of the node and gives what it said.
func run(program string, arguments ...string) (string, error) {
	output, err := exec.Command(program, arguments...).CombinedOutput()
	said := strings.TrimSpace(string(output))
	if err != nil {
		return "", status.Errorf(codes.Internal, "%s: %v: %s", program, err, said)
	}
	return said, nil
}
