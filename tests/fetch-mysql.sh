#!/usr/bin/env bash
# Fetches MySQL from Debian's or Ubuntu's packages into a folder, without root and without touching the system: apt works
# in a folder of its own, and the packages are unpacked and not installed. The libraries they want come along, down to
# libc, since the system's may be too old.
#
#   fetch-mysql.sh FOLDER    afterwards FOLDER/usr/bin/mysqld runs
set -eu -o pipefail

tree=$1
for program in apt-get dpkg-deb; do
  command -v "$program" >/dev/null || { echo "Missing: $program. MySQL is fetched on Debian and Ubuntu only." >&2; exit 1; }
done

mkdir -p "$(dirname "$tree")"
work=$(mktemp -d "$tree.XXXXXX")
trap 'rm -rf "$work"' EXIT
# For apt's sandbox user, where root runs this.
chmod 755 "$work"
work=$(cd "$work" && pwd)
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/tree"
# Nothing is installed in the eyes of this apt, so that it fetches every library.
touch "$work/status"

cat > "$work/apt.conf" <<END
Dir::State "$work";
Dir::State::status "$work/status";
Dir::State::lists "$work/lists";
Dir::Cache "$work";
Dir::Cache::archives "$work/archives";
APT::Sandbox::User "";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::Retries "3";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
END

# Read after the system's configuration (a proxy may be there), so that it wins. APT_CONFIG would be read before.
apt() {
  local program=$1
  shift
  "apt-$program" --config-file "$work/apt.conf" "$@"
}

# The mirror this machine has its Debian from.
own_mirror() {
  apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' \
    | awk '$1 == "Debian" { mirror = $2 } END { print mirror }'
}

# Debian has MySQL in unstable only; from there it is taken without becoming a source of the system's.
use_unstable() {
  local keys=/usr/share/keyrings/debian-archive-keyring.gpg
  [ -e "$keys" ] || { echo "Missing: $keys. apt-get install debian-archive-keyring" >&2; exit 1; }
  echo "deb [signed-by=$keys] $1 unstable main" > "$work/sources.list"
  cat >> "$work/apt.conf" <<END
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "/dev/null";
END
}

update() {
  apt get update -qq --error-on=any
}

if [ "$(. /etc/os-release && echo "$ID")" = debian ]; then
  default=http://deb.debian.org/debian
  mirror=$(own_mirror)
  use_unstable "${mirror:-$default}"
  update || { use_unstable $default && update; }
else
  update
fi

# The newest of mysql-server-core, mysql-server-core-8.0 and so on; some of these names are of packages that are gone.
package=$(apt cache madison $(apt cache pkgnames mysql-server-core) 2>/dev/null \
  | sort -t '|' -k 2,2V | tail -n 1 | cut -d '|' -f 1 | tr -d ' ') || true
[ -n "$package" ] || { echo "Missing: a package mysql-server-core in what apt offers." >&2; exit 1; }
echo "Fetching $package and its libraries."
apt get install -qq -y --download-only "$package"
for file in "$work"/archives/*.deb; do
  dpkg-deb -x "$file" "$work/tree"
done

# Not called by its own path: its interpreter would be the system's.
cat > "$work/tree/usr/bin/mysqld" <<'END'
#!/bin/sh
# MySQL, with the loader and the libraries that came with it.
tree=$(cd "$(dirname "$0")/../.." && pwd)
for loader in "$tree"/usr/lib/*-linux-gnu*/ld-linux*.so.* "$tree"/lib/*-linux-gnu*/ld-linux*.so.*; do
  [ -e "$loader" ] && break
done
name=$(basename "$(dirname "$loader")")
export OPENSSL_CONF=/dev/null
exec "$loader" --library-path "$tree/usr/lib/$name:$tree/lib/$name" "$tree/usr/sbin/mysqld" "$@"
END
chmod 755 "$work/tree/usr/bin/mysqld"
"$work/tree/usr/bin/mysqld" --version >/dev/null || { echo "The MySQL that was fetched doesn't run here." >&2; exit 1; }

rm -rf "$tree"
mv "$work/tree" "$tree"
