package reshard

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	redis.SetLogger(silent{})
	goleak.VerifyTestMain(m)
}

func run(t *testing.T, in io.Reader, args ...string) (out string, err error) {
	t.Helper()
	opts, err := parse(append(args, "-step", "500ms", "-rate", "200", "-lease", "500ms"))
	if err != nil {
		t.Fatal(err)
	}
	opts.keyCount = 200
	var text bytes.Buffer
	err = (&show{options: opts, out: &text, in: in}).run(t.Context())
	return text.String(), err
}

// The whole show, short: in real time, as its servers' is.
func TestShow(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		args []string
		want []string
	}{
		"apply": {"", nil, []string{"copied by Migrate", "b is killed", "b comes back, empty", "deleted values were served 0 times"}},
		"swap":  {"", []string{"-swap"}, []string{"calls go to another fleet", "The changes cost "}},
		"typed": {"x\nr\na\nk\na\nr\nd\nq\na\n", []string{"-keys"},
			[]string{"1  nothing", "2  e is added", "3  b is killed", "4  b comes back", "5  e is taken away", "served 0 times"}},
		"nothing typed": {"", []string{"-keys"}, []string{"1  nothing", "There was no change"}},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := run(t, strings.NewReader(c.in), c.args...)
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			rest := out
			for _, want := range c.want {
				_, after, found := strings.Cut(rest, want)
				if !found {
					t.Fatalf("the output does not say %q there:\n%s", want, out)
				}
				rest = after
			}
		})
	}
}

func TestBadFlags(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	defer func(before *os.File) { os.Stderr = before }(os.Stderr)
	os.Stderr = null
	for _, args := range []string{"-step 499ms", "-step 61s", "-rate 99", "-rate 10001", "-lease 99ms", "-lease 61s", "what", "-x"} {
		if _, err := parse(strings.Fields(args)); err == nil {
			t.Errorf("no error of %s", args)
		}
	}
}
