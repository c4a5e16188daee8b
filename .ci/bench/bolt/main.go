// Command bolt is a cobra program that puts BENCH_EVENT into a bbolt file. It is a module of its own:
// the product does without bbolt.
package main

import (
	"encoding/binary"
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
			return bucket.Put(binary.BigEndian.AppendUint64(nil, seq), []byte(os.Getenv("BENCH_EVENT")))
		})
	}}
	if root.Execute() != nil {
		os.Exit(1)
	}
}
