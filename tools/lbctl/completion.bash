# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# bash completion of lbctl. What may follow, lbctl itself says (`lbctl complete`):
# commands and options from its table, services and backends from lbd.

_lbctl()
{
	local current words cword answer
	# Backends have colons, at which bash splits words; this puts them together again.
	_get_comp_words_by_ref -n : -c current -w words -i cword
	mapfile -t answer < <(
		"${words[0]}" complete -- "${words[@]:1:cword-1}" "$current" 2>/dev/null
	)
	if [[ ${answer[0]-} == FILE ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		compopt -o filenames
		return
	fi
	COMPREPLY=("${answer[@]}")
	__ltrim_colon_completions "$current"
}
complete -F _lbctl lbctl
