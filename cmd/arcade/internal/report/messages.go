package report

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// wireLimit is how much is shown of one message, in characters: ours have a thousand, and one
// of ten thousand must not take the place of ten.
const wireLimit = 4000

// reserve is what the page needs behind the messages, and for the words above them, in bytes.
const reserve = 4000

func (p *page) messages(s *sums) error {
	if s.total == 0 {
		return nil
	}
	list, shown, err := p.listed(s.newest)
	if err != nil {
		return err
	}
	p.section("Every message", "Open one to see it exactly as it goes over the wire. The newest is first.")
	if shown < s.total {
		p.add("<p class=cut>", number(shown), " of ", number(s.total), ", as many as fit on a page of ", strconv.Itoa(Limit/1000),
			" kB; <code>arcade usage export</code> prints them all.</p>\n")
	}
	p.Write(list)
	p.end()
	return nil
}

// listed renders as many messages as fit, the newest first, and says how many.
func (p *page) listed(newest []Message) (list []byte, shown int, err error) {
	room := Limit - reserve - p.Len()
	one := &page{now: p.now}
	for i := len(newest) - 1; i >= 0; i-- {
		one.Reset()
		if err := one.message(newest[i]); err != nil {
			return nil, 0, err
		}
		if len(list)+one.Len() > room {
			break
		}
		list = append(list, one.Bytes()...)
		shown++
	}
	return list, shown, nil
}

func (p *page) message(m Message) error {
	p.add("<details class=m><summary><span class=seq>", strconv.FormatInt(m.Seq, 10), "</span><span class=", string(m.State), ">", label(m.State),
		"</span><b>", foreign(m.subject(), 40), "</b><span class=r>", m.outcome(), "</span>", p.clock(m.RecordedAt), "</summary>")
	p.add("<p>", m.owner())
	if !m.SettledAt.IsZero() {
		p.add(" · ", label(m.State), " ", p.clock(m.SettledAt))
	}
	if m.Note != "" {
		p.add(" · ", foreign(m.Note, 200))
	}
	wire, err := m.wire()
	p.add("</p><pre>", wire, "</pre></details>\n")
	return err
}

func (m Message) subject() string {
	if m.Alias {
		return "alias"
	}
	return m.Command
}

func (m Message) outcome() string {
	switch {
	case m.Alias:
		return "says that two ids are one person"
	case m.Failed && m.Result != "":
		return "failed in " + took(m.Duration) + ": " + foreign(m.Result, 120)
	case m.Failed:
		return "failed in " + took(m.Duration)
	default:
		return "ok in " + took(m.Duration)
	}
}

func (m Message) owner() string {
	switch {
	case m.Who == "":
		return "whose it is, is not known yet"
	case m.Anonymous:
		return "anonymous as <code>" + foreign(m.Who, idLimit) + "</code>"
	default:
		return "as <code>" + foreign(m.Who, idLimit) + "</code>"
	}
}

// wire is the message's document, indented with tabs: the style makes them narrow.
func (m Message) wire() (string, error) {
	raw, err := m.Wire()
	if err != nil {
		return "", err
	}
	if len(raw) == 0 {
		return "This message is damaged and cannot be put on the wire.", nil
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, raw, "", "\t"); err != nil {
		indented.Reset()
		indented.Write(raw)
	}
	shown := text(clip(indented.String(), wireLimit))
	if indented.Len() > wireLimit {
		shown += "\n<i>cut here, after " + number(wireLimit) + " characters: arcade usage inspect " + strconv.FormatInt(m.Seq, 10) + " shows it whole</i>"
	}
	return shown, nil
}
