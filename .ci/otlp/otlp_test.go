// Package otlp checks the OpenTelemetry example of outbox/httpsink against OpenTelemetry's own types. It is a
// module of its own, so that the product's go.mod does not know them.
package otlp

import (
	"os"
	"testing"

	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

func TestACollectorUnderstandsTheExamplesBody(t *testing.T) {
	body, err := os.ReadFile("../../outbox/httpsink/testdata/otlp.json")
	if err != nil {
		t.Fatal(err)
	}
	var data logs.LogsData                                   // an export request has the same fields, and needs gRPC
	if err := protojson.Unmarshal(body, &data); err != nil { // an unknown field or a wrong type is an error
		t.Fatalf("a collector refuses the body: %v", err)
	}
	records := data.GetResourceLogs()[0].GetScopeLogs()[0].GetLogRecords()
	if len(records) != 3 {
		t.Fatalf("%d records, want 3", len(records))
	}
	for i, r := range records {
		if r.GetTimeUnixNano() != 1795435200123000000 || r.GetEventName() == "" {
			t.Errorf("record %d is %v, want its name and its time", i, r)
		}
	}
	for i, want := range []string{"list", "log.record.uid", "n", "none", "ok", "user.anonymous_id", "user.id"} {
		if got := records[0].GetAttributes()[i]; got.GetKey() != want || got.GetValue().GetValue() == nil {
			t.Errorf("attribute %d is %v, want %s with a value", i, got, want)
		}
	}
}
