"""Dockerfiles about the language, stages and RUN."""

from __future__ import annotations

from .build_parties import case

CASES = [
    case("comments-and-continuations", r"""
# a comment
   # another

FROM @
RUN echo one > /a && \
# within a command
    echo two >> /a && \

    echo three >> /a
  # indented
RUN echo '# no comment' \
  >> /a
ENV X=a\
b Y=c
run echo lower >> /a
COPY f \
  /target/
	RUN echo tab >> /a
CMD echo a \
  b
""", {"f": "f"}),
    case("crlf", "FROM @\r\nENV A=1 \\\r\n  B=2\r\nRUN echo x > /a\r\nCMD x y\r\n"),
    case("byte-order-mark", "\ufeffFROM @\nENV A=1\n"),
    case("no-line-break-at-the-end", "FROM @\nENV A=1"),
    case("escape-directive", "# escape=`\nFROM @\nENV A=a`\n  B=c:\\dir C=`$A\nRUN echo a `\n  b > /a\nWORKDIR /x\n"),
    case("escape-directive-wrong", "# escape=x\nFROM @\n", fails=True),
    case("escape-directive-too-late", "# comment\n# escape=`\nFROM @\nENV A=a\\\n  B=2\n"),
    case("trailing-escape", "FROM @\nENV A=1 \\\n"),
    case("run-forms", r"""
FROM @
RUN echo "$HOME $PATH $PWD" > /1
RUN ["/bin/sh", "-c", "echo exec > /2"]
RUN ["touch", "/3 with space", "/$HOME"]
RUN [ "touch" ,"/4" ]
RUN [not json] || echo fell back > /5
RUN a=1; echo "${a}b" 'c' \$d > /6
RUN echo ä > /7; umask > /8; ulimit -c 0; cat /proc/self/status | grep ^NoNewPrivs > /9
RUN exit 0
"""),
    case("run-fails", "FROM @\nRUN exit 3\n", fails=True),
    case("run-no-program", 'FROM @\nRUN ["/none"]\n', fails=True),
    case("run-that-changes-nothing", "FROM @\nRUN true\nRUN :\nRUN cat /etc/passwd\n"),
    case("run-environment", "FROM @\nENV A=1\nARG B=2\nRUN env | grep -v -e ^HOSTNAME -e ^_ | sort > /env\n"
         "RUN cat /proc/self/cgroup > /dev/null; pwd > /pwd; tty > /tty; cat <&0 | wc -c > /stdin\n"),
    case("run-capabilities", "FROM @\nRUN grep -e ^CapEff -e ^CapBnd -e ^CapInh -e ^CapAmb /proc/self/status > /caps\n"
         "USER app\nRUN grep ^CapEff /proc/self/status > /tmp/caps\n"),
    case("whiteouts", r"""
FROM @
RUN mkdir -p /d/sub /e; echo 1 > /d/f; echo 2 > /d/sub/g; ln -s f /d/l; mkfifo /d/p
RUN rm /etc/group /d/f; rm -r /home/app
RUN rm -r /d; mkdir /d; echo new > /d/new
RUN rm -r /e; echo file > /e
RUN rm /d/new; mkdir /d/new; touch /d/new/x; mv /usr /moved
RUN rm -rf /tmp /var/* ; mkdir -m 1777 /tmp
"""),
    case("whiteout-and-again", "FROM @\nRUN rm /etc/group; echo again > /etc/group\nRUN rm -r /home; mkdir /home\nCOPY f /home/f\n", {"f": "f"}),
    case("special-files", r"""
FROM @
RUN mkdir /s; cp /bin/busybox /s/suid; chmod 4755 /s/suid; chmod 2711 /bin; chmod 1755 /home; mkfifo /s/fifo
RUN echo x > /s/a; ln /s/a /s/b; ln /s/a /s/c; chown 1000:29 /s/a; chmod 400 /s/b
RUN ln -s ../etc/passwd /s/rel; ln -s /none /s/dangling; chown -h app:app /s/rel; touch -d '2001-02-03 04:05:06' /s/a
RUN dd if=/dev/zero of=/s/sparse bs=1 count=1 seek=1000000 2>/dev/null; touch "/s/a b" /s/ü /s/-x "/s/[1]" '/s/*' '/s/\'
RUN mkdir -m 700 /s/private; chown app /s/private; mkdir -m 2775 /s/group
"""),
    case("hard-links-over-layers", "FROM @\nRUN echo x > /a; ln /a /b\nRUN ln /a /c; echo y >> /a\nRUN chmod 600 /b\n"),
    case("metadata-only", "FROM @\nRUN chmod 700 /root\nRUN chown 1:2 /home\nRUN touch -d '2002-01-01 00:00:00' /etc/passwd /tmp\n"),
    case("stages-by-name", r"""
FROM @ AS One
RUN mkdir /out; echo 1 > /out/f; ln -s f /out/l; chown -R app:audio /out; chmod 640 /out/f
FROM scratch as two
COPY --from=one /out /all/
COPY --from=ONE /out/f /out/l /some/
FROM two
COPY --from=one /etc/passwd /
COPY --from=0 /out/l /by-number
COPY --from=busybox /etc/group /by-image
"""),
    case("stages-target", "FROM @ AS a\nENV A=1\nFROM a AS b\nENV B=1\nFROM @ AS c\nRUN exit 1\n", target="b"),
    case("stages-target-by-number", "FROM @ AS a\nENV A=1\nFROM a\nENV B=1\nFROM @ AS c\nRUN exit 1\n", target="1"),
    case("stages-target-unknown", "FROM @ AS a\n", target="x", fails=True),
    case("stages-not-needed", "FROM @ AS broken\nRUN exit 1\nFROM @\nENV A=1\n", parties=("buildkit",)),
    case("stages-from-itself", "FROM @ AS a\nCOPY --from=a /etc/passwd /x\n", fails=True),
    case("stages-from-later", "FROM @ AS a\nCOPY --from=b /etc/passwd /x\nFROM @ AS b\nFROM a\n"),
    case("stages-in-a-circle", "FROM @ AS a\nCOPY --from=b /x /x\nFROM @ AS b\nCOPY --from=a /x /x\n", fails=True),
    case("stages-from-wildcards", "FROM @ AS a\nRUN mkdir /w; touch /w/a1 /w/a2 /w/b1\nFROM scratch\nCOPY --from=a /w/a* /dir/\nCOPY --from=a /w/?1 /dir2/\n"),
    case("stages-from-links", r"""
FROM @ AS a
RUN mkdir -p /real/sub; echo x > /real/sub/f; ln -s real /link; ln -s /real/sub/f /abs; ln -s ../../../etc/passwd /real/up
FROM @
COPY --from=a /link /copied
COPY --from=a /link/sub /sub
COPY --from=a /abs /file
COPY --from=a /link/sub/f /real/up /into/
"""),
    case("stages-from-missing", "FROM @ AS a\nFROM @\nCOPY --from=a /none /\n", fails=True),
    case("stages-from-keeps-all", r"""
FROM @ AS a
RUN mkdir -m 2750 /d; echo x > /d/f; ln /d/f /d/g; chmod 6755 /d/f; chown 5:6 /d; mkfifo /d/p; mkdir -m 1777 /d/t
RUN touch -d '2001-02-03 04:05:06' /d/f
FROM @
COPY --from=a /d /d
COPY --from=a /d /e/d/
COPY --from=a --chown=app:app /d /h
"""),
    case("run-mounts", r"""
FROM @ AS a
RUN echo a > /a
FROM @
RUN --mount=type=bind,source=f,target=/m/f cat /m/f > /1
RUN --mount=type=bind,from=a,target=/a cat /a/a > /2
RUN --mount=type=cache,target=/c touch /c/x && ls /c > /3
RUN --mount=type=tmpfs,target=/t touch /t/x && ls /t > /4
""", {"f": "context"}, parties=("buildkit",)),
]  # fmt: skip
