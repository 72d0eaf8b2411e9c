#!/usr/bin/env bash
# A MySQL-compatible server for the tests: finds one, or installs MariaDB's from the system's packages.
set -eu

# Where servers live that an ordinary user's PATH doesn't name.
PATH=$PATH:/usr/sbin:/usr/local/sbin:/usr/libexec:/usr/local/mysql/bin
PATH=$PATH:/opt/homebrew/opt/mysql/bin:/opt/homebrew/opt/mariadb/bin:/usr/local/opt/mysql/bin:/usr/local/opt/mariadb/bin

find_server() {
  command -v "${SLUICE_MYSQLD:-mysqld}" || command -v mariadbd
}

install_server() {
  if command -v apt-get >/dev/null; then
    as_root=""
    if [ "$(id -u)" != 0 ]; then
      command -v sudo >/dev/null || return 1
      as_root=sudo
    fi
    $as_root apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends mariadb-server-core >/dev/null
  elif command -v brew >/dev/null; then
    brew install --quiet mariadb
  else
    return 1
  fi
}

if ! server=$(find_server); then
  echo "No MySQL-compatible server here: installing MariaDB's from the system's packages."
  install_server || {
    echo "It could not be installed. Install one and try again:" >&2
    echo "  Debian, Ubuntu: apt-get install mariadb-server-core; macOS: brew install mariadb" >&2
    echo "or name its program in SLUICE_MYSQLD." >&2
    exit 1
  }
  server=$(find_server)
fi
echo "MySQL-compatible server: $server"
