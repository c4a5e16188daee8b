package httpsink_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/httpsend"
	"github.com/ArcadeAI/arcade-cli/outbox/httpsink"
)

// appendLogRecord writes a LogRecord as OTLP/HTTP has it in JSON, https://opentelemetry.io/docs/specs/otlp/#otlphttp.
func appendLogRecord(wire []byte, m outbox.Message) ([]byte, error) {
	attributes := map[string]any{}
	if json.Unmarshal(m.Properties, &attributes) != nil {
		return nil, errors.New("its properties are not JSON")
	}
	attributes["log.record.uid"], attributes["user.id"] = m.UUID, m.DistinctID
	if m.Kind == outbox.Alias {
		attributes["user.previous_id"] = m.AnonID
	}
	pairs := []any{}
	for _, key := range slices.Sorted(maps.Keys(attributes)) {
		pairs = append(pairs, map[string]any{"key": key, "value": anyValue(attributes[key])})
	}
	record, err := json.Marshal(map[string]any{
		"timeUnixNano": strconv.FormatInt(m.RecordedAt.UnixNano(), 10), "eventName": m.Event, "attributes": pairs,
	})
	return append(wire, record...), err
}

// anyValue writes lists and objects as text.
func anyValue(value any) map[string]any {
	switch v := value.(type) {
	case string:
		return map[string]any{"stringValue": v}
	case float64:
		return map[string]any{"doubleValue": v}
	case bool:
		return map[string]any{"boolValue": v}
	}
	text, _ := json.Marshal(value) // it was JSON before
	return map[string]any{"stringValue": string(text)}
}

// collector returns a sink that sends logs to an OpenTelemetry collector.
func collector(url string) *httpsink.Sink {
	const resource = `{"attributes":[{"key":"service.name","value":{"stringValue":"hello"}}]}`
	return httpsink.New(httpsink.Config{URL: url, Encoder: &httpsend.Encoder{
		Open:  `{"resourceLogs":[{"resource":` + resource + `,"scopeLogs":[{"scope":{"name":"outbox"},"logRecords":[`,
		Close: `]}]}]}`, Append: appendLogRecord,
	}})
}

// An OpenTelemetry collector takes events as log records. It does not fold repeats; log.record.uid tells them.
func Example_openTelemetry() {
	sink := collector("http://localhost:4318/v1/logs")
	wire, err := sink.Wire(outbox.Message{
		UUID: "0198c0de-0000-7000-8000-000000000001", Event: "greeted", DistinctID: "ada",
		RecordedAt: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Properties: json.RawMessage(`{"name_length":5}`),
	})
	fmt.Println(string(wire), err)
	// Output:
	// {"attributes":[{"key":"log.record.uid","value":{"stringValue":"0198c0de-0000-7000-8000-000000000001"}},{"key":"name_length","value":{"doubleValue":5}},{"key":"user.id","value":{"stringValue":"ada"}}],"eventName":"greeted","timeUnixNano":"1795435200000000000"} <nil>
}
