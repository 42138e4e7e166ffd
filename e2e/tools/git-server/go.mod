module trackbed.dev/e2e/tools/git-server

go 1.26
