package httpsink_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/httpsend"
	"github.com/ArcadeAI/arcade-cli/outbox/httpsink"
)

// logRecord is a LogRecord as OTLP/HTTP has it in JSON, https://opentelemetry.io/docs/specs/otlp/#otlphttp.
func logRecord(m outbox.Message) (any, error) {
	values := map[string]any{}
	_ = json.Unmarshal(m.Properties, &values) // they are a JSON object
	values["log.record.uid"], values["user.id"], values["user.anonymous_id"] = m.UUID, m.DistinctID, m.AnonID
	attributes := []any{}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		attributes = append(attributes, map[string]any{"key": key, "value": anyValue(values[key])})
	}
	return map[string]any{"timeUnixNano": fmt.Sprint(m.RecordedAt.UnixNano()), "eventName": m.Event, "attributes": attributes}, nil
}

// anyValue has lists and objects as text.
func anyValue(value any) map[string]any {
	kinds := map[string]string{"string": "stringValue", "float64": "doubleValue", "bool": "boolValue"}
	if kind, simple := kinds[fmt.Sprintf("%T", value)]; simple {
		return map[string]any{kind: value}
	}
	text, _ := json.Marshal(value) // it was JSON before
	return map[string]any{"stringValue": string(text)}
}

// collector returns a sink that sends logs to an OpenTelemetry collector.
func collector(url string) *httpsink.Sink {
	const resource = `{"attributes":[{"key":"service.name","value":{"stringValue":"hello"}}]}`
	const open = `{"resourceLogs":[{"resource":` + resource + `,"scopeLogs":[{"scope":{"name":"outbox"},"logRecords":[`
	return httpsink.New(httpsink.Config{URL: url, Encoder: &httpsend.Encoder{Open: open, Close: `]}]}]}`, Form: logRecord}})
}

// An OpenTelemetry collector takes events as log records. It does not fold repeats; log.record.uid tells them. An alias
// is the record $create_alias, which says whose the anonymous id is. testdata/otlp.json is what it gets.
func Example_openTelemetry() {
	sink := collector("http://localhost:4318/v1/logs")
	fmt.Println(sink.Endpoint(), sink.Check())
	// Output: http://localhost:4318/v1/logs <nil>
}
