// Command bolt is a cobra program that puts BENCH_EVENT into a bbolt file. It is a module of its own:
// the product does without bbolt.
package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	bolt "go.etcd.io/bbolt"
)

func main() {
	root := &cobra.Command{Use: "bolt", RunE: func(*cobra.Command, []string) error {
		db, err := bolt.Open(filepath.Join(os.Getenv("HOME"), "usage.bolt"), 0o600, nil)
		if err != nil {
			return err
		}
		defer db.Close()
		return db.Update(func(tx *bolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte("messages"))
			if err != nil {
				return err
			}
			seq, err := bucket.NextSequence()
			if err != nil {
				return err
			}
			key := []byte{byte(seq >> 56), byte(seq >> 48), byte(seq >> 40), byte(seq >> 32), byte(seq >> 24), byte(seq >> 16), byte(seq >> 8), byte(seq)}
			return bucket.Put(key, []byte(os.Getenv("BENCH_EVENT")))
		})
	}}
	if root.Execute() != nil {
		os.Exit(1)
	}
}
