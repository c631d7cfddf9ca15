#!/bin/sh
# Makes what deploy/compose.yaml needs, once, in deploy/compose/made: passwords, an authority and the servers' certificates.
# Again makes only what is missing. Needs openssl.
#
#   sh deploy/compose/prepare.sh [HOST]     HOST: under which name enterprises reach this machine (localhost)
set -eu
host=${1:-localhost}
cd "$(dirname "$0")"
umask 022
mkdir -p made && chmod 700 made # the folder keeps others out; single files are mounted into containers of other users
mkdir -p made/mosquitto/data made/kafka made/access made/secrets made/backups made/dashboards
chmod 700 made/access

for name in owner worker alerts grafana grafana-admin; do
    [ -s "made/secrets/$name" ] || openssl rand -hex 24 | tr -d '\n' > "made/secrets/$name"
done
for name in owner worker alerts; do
    printf 'postgresql://weir%s:%s@database:5432/weir' \
        "$([ $name = owner ] || echo "_login_$name")" "$(cat made/secrets/$name)" > "made/secrets/$name-url"
done

if [ ! -s made/ca.key ]; then
    (umask 077 && openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out made/ca.key 2>/dev/null)
    openssl req -x509 -new -key made/ca.key -sha256 -days 3650 -subj "/CN=Weir $host" -out made/ca.pem \
        -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign"
fi
certificate() { # FOLDER CN: a certificate of a year; again a new one, once the old is removed
    [ -s "made/$1/server.pem" ] && return
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "/CN=$2" \
        -keyout "made/$1/server.key" -out "made/$1/server.csr" 2>/dev/null
    printf 'subjectAltName=DNS:%s,DNS:%s,DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' "$2" "$host" > "made/$1/extensions"
    openssl x509 -req -in "made/$1/server.csr" -CA made/ca.pem -CAkey made/ca.key -CAcreateserial -sha256 -days 365 \
        -extfile "made/$1/extensions" -out "made/$1/server.pem" 2>/dev/null
    rm "made/$1/server.csr" "made/$1/extensions"
    chmod 644 "made/$1/server.key" # see above: mounted alone, in a folder that keeps others out
}
certificate mosquitto mqtt
certificate kafka kafka
cat made/kafka/server.key made/kafka/server.pem > made/kafka/server-with-key.pem
if [ ! -s made/revoked.pem ]; then
    : > made/revoked.index
    printf '[ca]\ndefault_ca=d\n[d]\ndatabase=made/revoked.index\ndefault_md=sha256\ndefault_crl_days=365\n' > made/revoked.cnf
    openssl ca -config made/revoked.cnf -gencrl -keyfile made/ca.key -cert made/ca.pem -out made/revoked.pem 2>/dev/null
fi
sed "s/HOST/$host/" kafka.properties > made/kafka/server.properties
[ -s made/mosquitto/passwords ] || : > made/mosquitto/passwords
[ -s made/mosquitto/acl ] || : > made/mosquitto/acl
printf 'WEIR_UID=%s\nWEIR_GID=%s\n' "$(id -u)" "$(id -g)" > made/identity.env
echo "made what was missing below $(pwd)/made; now:"
echo "  docker compose -f deploy/compose.yaml --env-file deploy/compose/made/identity.env run --rm setup"
echo "  docker compose -f deploy/compose.yaml --env-file deploy/compose/made/identity.env up -d"
