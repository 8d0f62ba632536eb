# Whether the host of this system works: it runs and stays the same process, answers, and finds nothing that keeps it from
# streaming. As the service's own user, who has the devices and the session bus that the host has.
#   lumen-health SECONDS

limit=$((SECONDS + $1))
good=0 last='' why='it was not looked at'
while [ "$good" -lt 3 ]; do
  if ! systemctl is-active --quiet lumen.service; then
    good=0 why="lumen.service is not active"
  elif ! answer=$(timeout 20 lumen status --json 2>&1) || ! pid=$(jq -er .pid 2>/dev/null <<<"$answer"); then
    good=0 why="lumen status says: $answer"
  elif [ "$pid" = "$last" ]; then
    good=$((good + 1))
  else
    # One that comes up and dies is active each time that somebody looks.
    good=1 last=$pid why="lumen.service does not stay up"
  fi
  if [ "$good" -lt 3 ]; then
    if [ "$SECONDS" -ge "$limit" ]; then
      echo "lumen is not well after $1 s: $why" >&2
      exit 1
    fi
    sleep 2
  fi
done

if ! found=$(timeout 120 lumen doctor 2>&1); then
  echo "lumen is not well: lumen doctor finds:" >&2
  echo "$found" >&2
  exit 1
fi
echo "lumen is well: it runs as process $last, and lumen doctor finds nothing that keeps it from streaming"
