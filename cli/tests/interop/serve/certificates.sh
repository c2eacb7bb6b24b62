# Certificates as people make them for NBD, by GnuTLS: the folders ca, ours, other, revoked and stranger.
set -e
key() { certtool --generate-privkey --key-type ecdsa --outfile "$1" 2>/dev/null; }
authority() {
    mkdir -p "$1"
    printf 'cn = "%s"\nca\ncert_signing_key\ncrl_signing_key\nexpiration_days = 100\n' "$1" >template
    key "$1/ca-key.pem"
    certtool --generate-self-signed --load-privkey "$1/ca-key.pem" --template template --outfile "$1/ca-cert.pem" 2>/dev/null
}
# issue AUTHORITY FOLDER NAME LINES
issue() {
    mkdir -p "$2"
    cp "$1/ca-cert.pem" "$2/ca-cert.pem"
    printf 'cn = "%s"\nexpiration_days = 100\n%b' "$3" "$4" >template
    key "$2/$3-key.pem"
    certtool --generate-certificate --load-ca-certificate "$1/ca-cert.pem" --load-ca-privkey "$1/ca-key.pem" \
        --load-privkey "$2/$3-key.pem" --template template --outfile "$2/$3-cert.pem" 2>/dev/null
}
SERVER='dns_name = "localhost"\ntls_www_server\nsigning_key\n'
CLIENT='tls_www_client\nsigning_key\n'
authority ca
authority elsewhere
issue ca ours server "$SERVER"
issue ca ours client "$CLIENT"
issue ca revoked client "$CLIENT"
# Knows our authority, and is known to another one.
issue elsewhere stranger client "$CLIENT"
cp ca/ca-cert.pem stranger/ca-cert.pem
mkdir -p nobody other
cp ca/ca-cert.pem nobody/ca-cert.pem
# Knows another authority.
cp elsewhere/ca-cert.pem other/ca-cert.pem
printf 'crl_next_update = 100\ncrl_number = 1\n' >template
certtool --generate-crl --load-ca-privkey ca/ca-key.pem --load-ca-certificate ca/ca-cert.pem \
    --load-certificate revoked/client-cert.pem --template template --outfile ca-crl.pem 2>/dev/null
rm template
