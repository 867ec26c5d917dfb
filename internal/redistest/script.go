package redistest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
)

// HangUp is the reply that ends the connection instead. Text before it is sent
// first.
const HangUp = "\x00hang up"

// Script returns the way to a server that answers each command, its name in
// upper case first, with the bytes that answer returns. It answers the handshake
// by itself.
func Script(t testing.TB, answer func(args []string) string) Dialer {
	t.Helper()
	return func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		t.Cleanup(func() { _ = server.Close() })
		go serve(server, answer)
		return client, nil
	}
}

func serve(conn net.Conn, answer func([]string) string) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		args, err := readCommand(in)
		if err != nil {
			return
		}
		reply, end := strings.CutSuffix(reply(args, answer), HangUp)
		if _, err := io.WriteString(conn, reply); err != nil || end {
			return
		}
	}
}

func reply(args []string, answer func([]string) string) string {
	switch args[0] {
	case "HELLO":
		return "-ERR unknown command\r\n" // the client goes on with RESP2
	case "CLIENT":
		return "+OK\r\n"
	default:
		return answer(args)
	}
}

func readCommand(in *bufio.Reader) ([]string, error) {
	n, err := readNumber(in, '*')
	if err != nil || n == 0 {
		return nil, fmt.Errorf("no command: %w", err)
	}
	args := make([]string, n)
	for i := range args {
		size, err := readNumber(in, '$')
		if err != nil {
			return nil, err
		}
		buf := make([]byte, size+2)
		if _, err := io.ReadFull(in, buf); err != nil {
			return nil, err
		}
		args[i] = string(buf[:size])
	}
	args[0] = strings.ToUpper(args[0])
	return args, nil
}

func readNumber(in *bufio.Reader, kind byte) (int, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, fmt.Errorf("%q where %q was due", line[0], kind)
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}

// Bulk is text as the server replies it.
func Bulk(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }
