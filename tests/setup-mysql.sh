#!/usr/bin/env bash
# The database server for the tests. Says on stderr which it is, and prints its program's path.
#
#   setup-mysql.sh         any MySQL-compatible one: the machine's, or else MariaDB from the system's packages
#   setup-mysql.sh mysql   MySQL itself: the machine's, or else one fetched into target/mysql, which needs no root
#
# SLUICE_MYSQLD names the program to take instead.
set -eu
cd "$(dirname "$0")/.."

fetched=target/mysql/usr/bin

# Where servers live that an ordinary user's PATH doesn't name.
folders=$PATH:/usr/sbin:/usr/local/sbin:/usr/libexec:/usr/local/mysql/bin
folders=$folders:/opt/homebrew/opt/mysql/bin:/opt/homebrew/opt/mariadb/bin
folders=$folders:/usr/local/opt/mysql/bin:/usr/local/opt/mariadb/bin

is_mysql() {
  "$1" --version 2>/dev/null | grep 'Ver ' | grep -qv MariaDB
}

find_any() {
  PATH=$folders command -v mysqld || PATH=$folders command -v mariadbd
}

find_mysql() {
  local folder
  local IFS=:
  for folder in $folders $PWD/$fetched; do
    if [ -x "$folder/mysqld" ] && is_mysql "$folder/mysqld"; then
      echo "$folder/mysqld"
      return
    fi
  done
  return 1
}

install_mariadb() {
  if command -v apt-get >/dev/null; then
    as_root=""
    if [ "$(id -u)" != 0 ]; then
      command -v sudo >/dev/null || return 1
      as_root=sudo
    fi
    $as_root apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends mariadb-server-core
  elif command -v brew >/dev/null; then
    brew install --quiet mariadb
  else
    return 1
  fi
}

any() {
  find_any && return
  echo "No MySQL-compatible server here: installing MariaDB's from the system's packages." >&2
  install_mariadb >&2 && find_any && return
  cat >&2 <<'END'
It could not be installed. Install one and try again:
  Debian, Ubuntu: apt-get install mariadb-server-core; macOS: brew install mariadb
or name its program in SLUICE_MYSQLD.
END
  return 1
}

mysql() {
  find_mysql && return
  echo "No MySQL here (MariaDB is not meant): fetching one into target/mysql." >&2
  tests/fetch-mysql.sh target/mysql >&2 && find_mysql && return
  cat >&2 <<'END'
MySQL could not be had. What is missing is said above. Install it and try again:
  Debian, Ubuntu: needs apt-get and a mirror that answers; Fedora: dnf install mysql-server; macOS: brew install mysql
  elsewhere: https://dev.mysql.com/downloads/mysql/
or name its program, mysqld, in SLUICE_MYSQLD.
END
  return 1
}

wanted=${1:-any}
if [ -n "${SLUICE_MYSQLD:-}" ]; then
  server=$(command -v "$SLUICE_MYSQLD") || { echo "SLUICE_MYSQLD: there is no program $SLUICE_MYSQLD" >&2; exit 1; }
  if [ "$wanted" = mysql ] && ! is_mysql "$server"; then
    echo "SLUICE_MYSQLD: $server is not MySQL itself" >&2
    exit 1
  fi
else
  server=$("$wanted")
fi
version=$("$server" --version | sed 's/^.*Ver /Ver /')
echo "Database server: $server, $version" >&2
echo "$server"
