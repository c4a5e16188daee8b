package outboxtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync/atomic"
)

// listening is what Listen adds to a server.
type listening struct {
	http        *http.Server
	url         string
	certificate *certificate
}

// Listen serves on a TCP address such as "127.0.0.1:0" until [Server.Close]. Afterwards the
// server can listen again, on the same address if need be, and still knows everything.
func (s *Server) Listen(address string) error { return s.listen(address, nil) }

// ListenTLS is [Server.Listen] with TLS. The certificate is for localhost, 127.0.0.1 and ::1
// and comes from an authority that nobody knows; see [Server.CAPEM].
func (s *Server) ListenTLS(address string) error {
	s.mu.Lock()
	known := s.listening.certificate
	s.mu.Unlock()
	if known == nil {
		made, err := newCertificate(s.now())
		if err != nil {
			return fmt.Errorf("make a certificate: %w", err)
		}
		known = made
	}
	return s.listen(address, known)
}

func (s *Server) listen(address string, cert *certificate) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:  s,
		ErrorLog: log.New(troubleWriter{s}, "", 0),
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, usesKey{}, new(atomic.Int64))
		},
		Protocols: new(http.Protocols),
	}
	server.Protocols.SetHTTP1(true) // a reset needs a connection of its own
	url := "http://" + listener.Addr().String()
	if cert != nil {
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{cert.leaf}})
		url = "https://" + listener.Addr().String()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listening.http != nil {
		_ = listener.Close()
		return fmt.Errorf("listen on %s: the server listens on %s already", address, s.listening.url)
	}
	s.listening.http, s.listening.url, s.closing = server, url, make(chan struct{})
	if cert != nil {
		s.listening.certificate = cert
	}
	go func() { _ = server.Serve(listener) }() // returns when Close closes the listener
	return nil
}

// URL is where the server listens or has listened last, without a path: http://127.0.0.1:8377.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listening.url
}

// CAPEM is the certificate of the authority behind [Server.ListenTLS], for a test that wants
// it trusted: write it to a file and name that in SSL_CERT_FILE. Nil without TLS.
func (s *Server) CAPEM() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listening.certificate == nil {
		return nil
	}
	return bytes.Clone(s.listening.certificate.authority)
}

// Close stops to listen, cuts all connections, lets go of every request that hangs or pauses,
// and returns when no request is left. What was kept stays. It can be called more than once.
func (s *Server) Close() {
	s.mu.Lock()
	server := s.listening.http
	s.listening.http = nil
	if server != nil {
		close(s.closing)
	}
	s.mu.Unlock()
	if server == nil {
		return
	}
	_ = server.Close()
	_ = s.Await(context.Background(), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.flights) == 0
	})
}

// usesKey leads from a request to the number of those on its connection, an *atomic.Int64.
type usesKey struct{}

// reused says whether the request's connection has carried another one before.
func reused(r *http.Request) bool {
	uses, counted := r.Context().Value(usesKey{}).(*atomic.Int64)
	return counted && uses.Add(1) > 1
}

// troubleWriter hands the lines of net/http's log to the watcher.
type troubleWriter struct{ server *Server }

func (t troubleWriter) Write(line []byte) (int, error) {
	t.server.watching().trouble(string(bytes.TrimSpace(line)))
	return len(line), nil
}
