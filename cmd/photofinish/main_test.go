package main

import (
	"testing"

	"photofinish/cmd/clickhouse/clickhousetest"
)

func TestMain(m *testing.M) { clickhousetest.Main(m) }
