# What scripts that make a venv with vLLM's CPU build share; sourced, not run.

find_python() {
  for candidate in "${PYTHON:-}" python3 python3.12 python3.11 python3.13; do
    if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  say "needs Python 3.11, 3.12 or 3.13 and found none; install one or set PYTHON=/path/to/python3.12" >&2
  exit 3
}

purelib() { "$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }

# Makes torchvision importable in the venv $1 and takes out what comes as a CUDA build only, which nothing here needs.
fit_to_cpu_torch() {
  local site
  site=$(purelib "$1")
  "$1/bin/python" -m pip --disable-pip-version-check uninstall -qq --yes torchaudio torchcodec 2>/dev/null
  cp scripts/torchvision_hook.py "$site/vlmeval_torchvision_hook.py"
  echo "import vlmeval_torchvision_hook" >"$site/vlmeval-torchvision.pth"
}
