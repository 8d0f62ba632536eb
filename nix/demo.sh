# Starts the host with the test card and says what to do. With arguments: runs lumen on that host (`pair`, `status`).
# State is kept apart from that of an installed lumen.

export LUMEN_STATE_DIR="${XDG_STATE_HOME:-$HOME/.local/state}/lumen-demo"
export LUMEN_RUNTIME_DIR="${XDG_RUNTIME_DIR:-$LUMEN_STATE_DIR}/lumen-demo"
mkdir -p "$LUMEN_STATE_DIR"

if [ $# -gt 0 ]; then exec lumen "$@"; fi

addresses=$(ip -oneline address show scope global | awk '{ sub("/.*", "", $4); print "      " $4 }')
cat <<TEXT

lumen is starting. Open Moonlight on any device in this network.
  If this machine does not appear there, add it by address:
$addresses
  A firewall on this machine must let in TCP 47984, 47989, 48010 and UDP 47998-48000, 5353.
  Moonlight shows a PIN. Type it here, in another terminal:
      $0 pair
  Then choose "Test card". Ctrl-C ends the host.

TEXT
exec lumen serve
