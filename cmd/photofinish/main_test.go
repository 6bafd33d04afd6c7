package main

import (
	"os"
	"testing"

	"photofinish/cmd/clickhouse/clickhousetest"
)

// asProgram makes the test binary the program, for tests that send it signals.
const asProgram = "PFTEST_PHOTOFINISH"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	clickhousetest.Main(m)
}
