"""Dockerfiles about the configuration with which an image's containers run."""

from __future__ import annotations

from .build_parties import case

BASE = """
FROM @
ENV BASE=1 PATH=/bin:/sbin
ENTRYPOINT ["/bin/echo", "base"]
CMD ["of base"]
LABEL base=1 both=base
USER app
WORKDIR /home/app
EXPOSE 80
VOLUME /of-base
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=5s CMD true
SHELL ["/bin/sh", "-ec"]
"""

CASES = [
    case("only-from", "FROM @\n"),
    case("scratch-alone", "FROM scratch\nENV A=1\nCOPY f /\n", {"f": "f"}),
    case("env-forms", r"""
FROM @
ENV OLD the rest  of the line
ENV QUOTED "in quotes"  and not
ENV A=1 B="two words" C=three\ words D='single $A' E="esc \"q\" \$A"
ENV A=2 F=$A G=${A}x H="$A y"
ENV EMPTY= LAST=z
ENV UNI=äöü TAB="a	b"
ENV NOTHING ""
"""),
    case("env-order-is-kept", "FROM @\nENV B=1\nENV A=1\nENV B=2 C=3\nENV PATH=/x:$PATH\n"),
    case("env-in-all-fields", r"""
FROM @
ENV d=/data u=app p=8080 s=SIGTERM l=label f=file n=9
COPY $f ${d}/$f
WORKDIR $d/x
WORKDIR ${n}
USER $u
EXPOSE $p ${p}/udp
VOLUME $d/v ["$d"]
STOPSIGNAL $s
LABEL $l=$u "x$l"="y $u" z='$u'
CMD echo $u
ENTRYPOINT ["$u"]
""", {"file": "f"}),
    case("substitutions", r"""
FROM @
ARG none
ENV set=v empty=
ENV a1=${set:-d} a2=${empty:-d} a3=${unset:-d} c1=${set:+p} c2=${empty:+p} c3=${unset:+p}
ENV n=${unset:-${set:-x}} m=${unset:-a$set} q=${unset:-"a b"} r="${unset:-'a b'}"
ENV e=\$set f=\\$set g=$set$set h=${set}_ i=$set_ j=a$ k=$
"""),
    case("substitution-of-no-colon", "FROM @\nENV empty= set=x\nENV a=${empty-d} b=${unset-d} "
         "c=${empty+p} d=${set+p}\n"),
    case("substitution-unknown", "FROM @\nENV a=${x!y}\n", fails=True),
    case("substitution-open", "FROM @\nENV a=${x\n", fails=True),
    case("substitution-required", "FROM @\nENV a=${x:?why}\n", fails=True),
    case("arg-scopes", r"""
ARG TAG=latest
ARG OUT=outer
FROM busybox:${TAG} AS one
ARG OUT
ARG GIVEN=default
ARG OWN=own
ENV A=$OUT B=$GIVEN C=$OWN D=$TAG
ARG OWN=again
ENV E=$OWN
ENV OWN=env
ARG OWN=hidden
ENV F=$OWN
RUN echo $OWN > /seen
FROM @
ENV G=x$OUT H=x$GIVEN I=x$OWN
""", args={"GIVEN": "by flag"}),
    case("arg-after-env", "FROM @\nENV X=env\nARG X=arg\nENV Y=$X\nRUN echo $X > /seen\n"),
    case("arg-default-of-another", "FROM @\nARG A=1\nARG B=${A}2\nARG C=$B-${UNKNOWN:-d}\n"
         "ENV X=$A$B$C\nRUN echo \"$A $B $C\" > /seen; env | grep -v -e HOSTNAME -e container | sort >> /seen\n",
         args={"A": "flag"}),
    case("arg-predefined", "FROM @\nARG HTTP_PROXY\nRUN echo \"p=$http_proxy $HTTP_PROXY\" > /seen\nENV X=$HTTP_PROXY\n",
         args={"HTTP_PROXY": "http://p"}),
    case("proxy-undeclared", "FROM @\nRUN echo \"$http_proxy $HTTP_PROXY $no_proxy $NO_PROXY\" > /seen\n",
         args={"HTTP_PROXY": "http://p", "no_proxy": "x"}),
    case("arg-again-without-value", "FROM @\nARG A=1\nARG A\nENV X=x$A\n", parties=("buildkit",)),
    case("arg-of-the-base-stage", "FROM @ AS a\nARG A=1\nARG B=2\nFROM a\nARG A\nENV X=$A Y=$B\nRUN echo $A $B > /seen\n",
         parties=("buildkit",)),
    case("arg-platform", "FROM @\nARG TARGETPLATFORM\nARG TARGETARCH\nARG BUILDOS\n"
         "ENV A=$TARGETPLATFORM B=$TARGETARCH C=$BUILDOS\n", parties=("buildkit",)),
    case("arg-without-value", "FROM @\nARG A\nARG B=\nRUN env | grep -e ^A -e ^B > /seen || true\nENV X=x$A\n"),
    case("workdir-forms", r"""
FROM @
WORKDIR /a
WORKDIR b
WORKDIR ../c/./d/
ENV X=/x Y=y
WORKDIR $X/$Y
WORKDIR z
RUN pwd > /seen
"""),
    case("workdir-of-a-user", "FROM @\nUSER app\nWORKDIR /w/deep\nRUN id > /tmp/seen; pwd >> /tmp/seen\n"),
    case("workdir-that-exists", "FROM @\nWORKDIR /home/app\nWORKDIR /tmp\nRUN touch here\n"),
    case("workdir-by-a-link", "FROM @\nRUN mkdir /run; ln -s /run /var/run\nWORKDIR /var/run/x\nRUN pwd > /seen\n"),
    case("workdir-on-a-file", "FROM @\nWORKDIR /etc/passwd/x\n", fails=True),
    case("workdir-spaces", "FROM @\nWORKDIR /with space\nWORKDIR and\\ more\nRUN pwd > /seen\n"),
    case("user-forms", r"""
FROM @
RUN id > /tmp/1
USER app
RUN id > /tmp/2
USER 1000:10
RUN id > /tmp/3
USER 4321
RUN id -u > /tmp/4; id -g >> /tmp/4
USER app:audio
RUN id > /tmp/5; echo $HOME >> /tmp/5
USER 0
RUN id -u > /tmp/6; echo $HOME >> /tmp/6
USER nobody:nogroup
"""),
    case("user-unknown", "FROM @\nUSER nobody\nRUN id\n", fails=True),
    case("cmd-forms", 'FROM @\nCMD echo "$HOME" \'x\'\nENTRYPOINT  [ "a" , "b\\"c" ]\n'),
    case("cmd-not-json", "FROM @\nCMD ['a', 'b']\n"),
    case("cmd-empty", "FROM @\nCMD []\nENTRYPOINT []\n"),
    case("cmd-twice", 'FROM @\nCMD ["a"]\nCMD ["b"]\nENTRYPOINT ["c"]\nENTRYPOINT d\n'),
    case("inherited", "FROM %\n", before=BASE),
    case("entrypoint-clears-the-base", 'FROM %\nENTRYPOINT ["mine"]\n', before=BASE),
    case("entrypoint-after-cmd", 'FROM %\nCMD ["mine"]\nENTRYPOINT ["e"]\n', before=BASE),
    case("entrypoint-before-cmd", 'FROM %\nENTRYPOINT ["e"]\nCMD ["mine"]\n', before=BASE),
    case("entrypoint-cleared", "FROM %\nENTRYPOINT []\n", before=BASE),
    case("cmd-cleared", "FROM %\nCMD []\n", before=BASE),
    case("entrypoint-of-a-stage", 'FROM % AS a\nENTRYPOINT ["a"]\nCMD ["c"]\nFROM a\nENTRYPOINT ["b"]\n',
         before=BASE),
    case("overridden", r"""
FROM %
ENV BASE=2 PATH=/x:$PATH
LABEL both=mine mine=2
USER root
WORKDIR sub
EXPOSE 81/udp
VOLUME /of-mine
STOPSIGNAL 9
HEALTHCHECK NONE
SHELL ["/bin/ash", "-c"]
RUN echo $0 > /seen
CMD shell form
""", before=BASE),
    case("onbuild", "FROM %\nRUN cat /seen > /after\n", {"f": "context"}, before=r"""
FROM @
ONBUILD COPY f /seen
ONBUILD RUN echo run >> /seen
ONBUILD ENV BY=onbuild
ONBUILD WORKDIR /on/build
onbuild   label   x="y z"
RUN test ! -e /seen
"""),
    case("onbuild-is-kept", "FROM @\nONBUILD RUN echo hi\nONBUILD ADD --chown=1:2 . /app\nonbuild  cmd  a   b\n"),
    case("onbuild-of-a-stage", "FROM @ AS a\nONBUILD RUN echo a > /a\nONBUILD ARG X=1\nFROM a\nRUN cat /a > /b; echo $X >> /b\n"),
    case("onbuild-from-a-stage", "FROM %\nFROM @ AS tools\nRUN echo t > /t\nFROM %\n",
         before="FROM @\nONBUILD COPY --from=tools /t /from-tools\n", parties=("buildkit",)),
    case("onbuild-onbuild", "FROM @\nONBUILD ONBUILD RUN true\n", fails=True),
    case("onbuild-from", "FROM @\nONBUILD FROM x\n", fails=True),
    case("shell", r"""
FROM @
SHELL ["/bin/sh", "-xc"]
RUN echo "$0 $-" > /seen
CMD x
ENTRYPOINT y
HEALTHCHECK CMD z
"""),
    case("shell-not-json", "FROM @\nSHELL /bin/sh\n", fails=True),
    case("health-forms", "FROM @\nHEALTHCHECK --interval=1m30s --timeout=3s --start-period=500ms --retries=4 CMD wget -q x || exit 1\n"),
    case("health-exec", 'FROM @\nHEALTHCHECK CMD ["a", "b c"]\n'),
    case("health-plain", "FROM @\nHEALTHCHECK   cmd   x  y\n"),
    case("health-none", "FROM @\nHEALTHCHECK CMD x\nHEALTHCHECK NONE\n"),
    case("health-zero", "FROM @\nHEALTHCHECK --interval=0s --retries=0 CMD x\n"),
    case("health-short", "FROM @\nHEALTHCHECK --interval=1us CMD x\n", fails=True),
    case("health-unknown-flag", "FROM @\nHEALTHCHECK --every=1s CMD x\n", fails=True),
    case("health-nothing", "FROM @\nHEALTHCHECK CMD\n", fails=True),
    case("expose-forms", "FROM @\nEXPOSE 80 443/tcp 53/udp 7000-7003 9000-9001/udp 22/sctp\nEXPOSE 80/TCP\n"),
    case("expose-malformed", "FROM @\nEXPOSE 80/foo\n", fails=True),
    case("expose-no-number", "FROM @\nEXPOSE http\n", fails=True),
    case("expose-range-backwards", "FROM @\nEXPOSE 90-80\n", fails=True),
    case("expose-with-host", "FROM @\nEXPOSE 8080:80\n"),
    case("volume-forms", 'FROM @\nVOLUME /a /b\nVOLUME ["/c d", "e"]\nVOLUME rel/ative\nVOLUME /a\n'),
    case("volume-content", "FROM @\nRUN mkdir /v; echo 1 > /v/before\nVOLUME /v\nRUN echo 2 > /v/after; echo 3 > /beside\nCOPY f /v/copied\n", {"f": "f"}),
    case("volume-empty", 'FROM @\nVOLUME [""]\n', fails=True),
    case("label-forms", r"""
FROM @
LABEL a=1 b="two words" c='single' "d e"="f g" h=i\ j
LABEL multi="line one \
line two" k=l
LABEL old the rest "of it"
LABEL a=2 org.example/x.y-z=ä
LABEL esc="q \" b \\ d \$x" e=
LABEL brackets="[a] {b} <c> #d"
"""),
    case("label-of-nothing", "FROM @\nLABEL alone\n", fails=True),
    case("env-of-nothing", "FROM @\nENV alone\n", fails=True),
    case("env-empty-name", "FROM @\nENV =x\n", fails=True),
    case("stopsignal-forms", "FROM @\nSTOPSIGNAL SIGUSR1\nSTOPSIGNAL RTMIN+3\n"),
    case("stopsignal-number", "FROM @\nSTOPSIGNAL 15\n"),
    case("stopsignal-wrong", "FROM @\nSTOPSIGNAL SIGNONE\n", fails=True),
    case("maintainer", "FROM @\nMAINTAINER Ada  Lovelace <ada@example.org>\n"),
    case("unknown-instruction", "FROM @\nRUNN x\n", fails=True),
    case("no-from", "RUN x\n", fails=True),
    case("several-from-words", "FROM @ x\n", fails=True),
]  # fmt: skip
