package clickhousetest_test

import (
	"testing"

	"photofinish/cmd/clickhouse/clickhousetest"
)

func TestMain(m *testing.M) { clickhousetest.Main(m) }

// Two tests never see each other's tables.
func TestNewIsAlone(t *testing.T) {
	for range 2 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			conn := clickhousetest.New(t)
			if err := conn.Exec(t.Context(), "CREATE TABLE a (n Int64) ENGINE = MergeTree ORDER BY n"); err != nil {
				t.Error(err)
			}
		})
	}
}
