// Command server is a HashiCorp Vault server for tests: the real thing, built
// unpatched from its Go module, with storage in memory, initialised and
// unsealed. It is a module of its own, so that nothing of Vault's own
// dependencies reaches the product.
//
// It listens on a free loopback port, prints one line of JSON with its address,
// root token and unseal key on standard output, logs to standard error, and
// ends when its standard input does, so that it cannot outlive its test.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	authjwt "github.com/hashicorp/vault-plugin-auth-jwt"
	authkubernetes "github.com/hashicorp/vault-plugin-auth-kubernetes"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/audit"
	auditfile "github.com/hashicorp/vault/builtin/audit/file"
	authapprole "github.com/hashicorp/vault/builtin/credential/approle"
	authcert "github.com/hashicorp/vault/builtin/credential/cert"
	authuserpass "github.com/hashicorp/vault/builtin/credential/userpass"
	"github.com/hashicorp/vault/builtin/logical/database"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/plugins/database/postgresql"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

func main() {
	var (
		cert  = flag.String("tls-cert", "", "serve https with this PEM certificate `file`")
		key   = flag.String("tls-key", "", "the certificate's private key `file`")
		level = flag.String("log-level", "warn", "Vault's log level: trace, debug, info, warn or error")
	)
	flag.Parse()
	if err := run(*cert, *key, *level); err != nil {
		fmt.Fprintln(os.Stderr, "vault test server:", err)
		os.Exit(1)
	}
}

func run(cert, key, level string) error {
	ctx := context.Background()
	logger := hclog.New(&hclog.LoggerOptions{Level: hclog.LevelFromString(level), Output: os.Stderr})

	// The address is needed before the core exists, which advertises it.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	scheme := "http"
	if cert != "" {
		scheme = "https"
	}
	address := scheme + "://" + ln.Addr().String()

	storage, err := inmem.NewInmem(nil, logger)
	if err != nil {
		return fmt.Errorf("making the storage: %w", err)
	}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical:     storage,
		StorageType:  "inmem",
		Logger:       logger,
		DisableMlock: true,
		RedirectAddr: address,
		LogicalBackends: map[string]logical.Factory{
			"kv":       kv.Factory,
			"database": database.Factory,
		},
		CredentialBackends: map[string]logical.Factory{
			"approle":    authapprole.Factory,
			"cert":       authcert.Factory,
			"jwt":        authjwt.Factory,
			"kubernetes": authkubernetes.Factory,
			"userpass":   authuserpass.Factory,
		},
		AuditBackends:   map[string]audit.Factory{"file": auditfile.Factory},
		BuiltinRegistry: registry{},
		DefaultLeaseTTL: time.Hour,
		MaxLeaseTTL:     24 * time.Hour,
	})
	if err != nil {
		return fmt.Errorf("making the core: %w", err)
	}

	init, err := core.Initialize(ctx, &vault.InitParams{
		BarrierConfig:  &vault.SealConfig{SecretShares: 1, SecretThreshold: 1},
		RecoveryConfig: &vault.SealConfig{},
	})
	if err != nil {
		return fmt.Errorf("initialising: %w", err)
	}
	// Unseal overwrites the share that it is given.
	share := append([]byte(nil), init.SecretShares[0]...)
	if _, err := core.Unseal(share); err != nil {
		return fmt.Errorf("unsealing: %w", err)
	}

	handler := vaulthttp.Handler.Handler(&vault.HandlerProperties{
		Core:           core,
		ListenerConfig: &configutil.Listener{},
	})
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		// The cert method wants to see the client's certificate, and judges it itself.
		TLSConfig: &tls.Config{ClientAuth: tls.RequestClientCert},
	}
	failed := make(chan error, 1)
	go func() {
		if cert != "" {
			failed <- server.ServeTLS(ln, cert, key)
			return
		}
		failed <- server.Serve(ln)
	}()

	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{
		"address":    address,
		"root_token": init.RootToken,
		"unseal_key": fmt.Sprintf("%x", init.SecretShares[0]),
	}); err != nil {
		return fmt.Errorf("announcing: %w", err)
	}

	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case err := <-failed:
		return err
	}
}

// registry names the plugins that are compiled in. The database engine looks
// its own plugins up here; secret engines and authentication methods come from
// the core's configuration.
type registry struct{}

var _ vault.BuiltinRegistry = registry{}

const postgres = "postgresql-database-plugin"

func (registry) Get(name string, kind consts.PluginType) (func() (any, error), bool) {
	if name == postgres && kind == consts.PluginTypeDatabase {
		return postgresql.New, true
	}
	return nil, false
}

func (r registry) Contains(name string, kind consts.PluginType) bool {
	_, ok := r.Get(name, kind)
	return ok
}

func (registry) Keys(kind consts.PluginType) []string {
	if kind == consts.PluginTypeDatabase {
		return []string{postgres}
	}
	return nil
}

func (r registry) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	if r.Contains(name, kind) {
		return consts.Supported, true
	}
	return consts.Unknown, false
}
