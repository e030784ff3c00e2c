# Perl threads and the system: processes, pipes, sockets, signals, sleeps, files.
use strict;
use warnings;
use threads;
use threads::shared;
use IO::Select;
use IO::Socket::INET;
use File::Temp qw(tempdir);
use POSIX ();
use Socket;
use Time::HiRes qw(time sleep usleep alarm);
use Test::More;

# ---- sleeps ----

{
    my @t = map { my $ms = $_ * 10; threads->create(sub { my $s = time(); usleep($ms * 1000); time() - $s >= $ms / 1000 - 0.001 ? 1 : 0 }) } 1 .. 20;
    my $ok = 0;
    $ok += $_->join() for @t;
    is($ok, 20, 'no sleep ends early');
    is(threads->create(sub { my $s = time(); select(undef, undef, undef, 0.05); time() - $s >= 0.049 ? 1 : 0 })->join(), 1, 'nor does select');
}

# ---- processes ----

{
    my @t = map { my $n = $_; threads->create(sub { system('sh', '-c', "exit $n") >> 8 }) } 1 .. 10;
    is(join(',', map { $_->join() } @t), join(',', 1 .. 10), 'system in ten threads');
    my @b = map { my $n = $_; threads->create(sub { my $out = `echo line $n; echo more`; $out =~ tr/\n/;/; $out }) } 1 .. 10;
    is(join('', map { $_->join() } @b), join('', map { "line $_;more;" } 1 .. 10), 'backquotes');
    my $forked = threads->create(sub {
        my $pid = fork();
        if (!$pid) { POSIX::_exit(23) }
        waitpid($pid, 0);
        return $? >> 8;
    })->join();
    is($forked, 23, 'fork and waitpid in a thread');
    my $child = threads->create(sub {
        my $pid = fork();
        if (!$pid) {
            my $inner = threads->create(sub { threads->create(sub { 7 })->join() * 6 })->join();
            POSIX::_exit($inner);
        }
        waitpid($pid, 0);
        return $? >> 8;
    })->join();
    is($child, 42, 'threads in a child of a thread');
}

# ---- pipes and sockets ----

{
    pipe(my $r, my $w) or die;
    my $reader = threads->create(sub { close $w; my ($n, $sum) = (0, 0); while (<$r>) { $n++; $sum += $_ } "$n $sum" });
    my $writer = threads->create(sub { select((select($w), $| = 1)[0]); print $w "$_\n" for 1 .. 2000; close $w; 1 });
    close $w;
    $writer->join();
    is($reader->join(), '2000 2001000', 'a pipe between two threads');
}
{
    my $server = IO::Socket::INET->new(Listen => 50, LocalAddr => '127.0.0.1') or die;
    my $port = $server->sockport();
    my $acceptor = threads->create(sub {
        my @echo;
        for (1 .. 20) {
            my $c = $server->accept();
            push @echo, threads->create(sub { while (my $line = <$c>) { print $c uc $line } close $c; 1 });
            close $c;
        }
        $_->join() for @echo;
        return scalar @echo;
    });
    my @client = map {
        my $n = $_;
        threads->create(sub {
            my $c = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or return 0;
            my $good = 0;
            for my $i (1 .. 20) {
                print $c "client $n line $i\n";
                my $answer = <$c>;
                $good++ if $answer eq "CLIENT $n LINE $i\n";
            }
            close $c;
            return $good;
        })
    } 1 .. 20;
    my $good = 0;
    $good += $_->join() for @client;
    is($good, 400, '20 clients, 20 threads that echo');
    is($acceptor->join(), 20, 'all accepted');
}
{
    socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die;
    my $t = threads->create(sub { my $s = IO::Select->new($b); my @r = $s->can_read(120); sysread($b, my $buf, 100); scalar(@r) . $buf });
    syswrite($a, 'data');
    is($t->join(), '1data', 'select in a thread');
    my $late = threads->create(sub { my $s = IO::Select->new($b); scalar(my @r = $s->can_read(0.05)) });
    is($late->join(), 0, 'and its timeout');
}

# ---- signals ----

{
    my $hits = 0;
    local $SIG{USR1} = sub { $hits++ };
    my $t = threads->create(sub { usleep(20000); 1 });
    for (1 .. 5) { kill 'USR1', $$; }
    $t->join();
    is($hits, 5, 'kill of oneself: the handler has run when it returns');
    my $alarm = 0;
    local $SIG{ALRM} = sub { $alarm++ };
    alarm(0.05);
    my $end = time() + 60;
    select(undef, undef, undef, 0.2) while !$alarm && time() < $end;
    is($alarm, 1, 'alarm interrupts select');
    my $timeout = eval { local $SIG{ALRM} = sub { die "alarm\n" }; alarm(0.05); sleep 60; 'slept' } // $@;
    is($timeout, "alarm\n", 'die in a handler ends a sleep');
}
{
    my $got = threads->create(sub {
        my $set = POSIX::SigSet->new(POSIX::SIGUSR2());
        POSIX::sigprocmask(POSIX::SIG_BLOCK(), $set);
        my $pid = fork();
        if (!$pid) {
            my $now = POSIX::SigSet->new();
            POSIX::sigprocmask(POSIX::SIG_BLOCK(), POSIX::SigSet->new(), $now);
            POSIX::_exit($now->ismember(POSIX::SIGUSR2()) ? 1 : 0);
        }
        waitpid($pid, 0);
        return $? >> 8;
    })->join();
    is($got, 1, 'the mask of a thread goes to its child');
}

# ---- files ----

{
    my $dir = tempdir(CLEANUP => 1);
    my @t = map {
        my $n = $_;
        threads->create(sub {
            open(my $f, '>', "$dir/$n") or return 0;
            print $f "$_\n" for 1 .. 200;
            close $f;
            open($f, '<', "$dir/$n") or return 0;
            my @lines = <$f>;
            return scalar @lines;
        })
    } 1 .. 20;
    my $lines = 0;
    $lines += $_->join() for @t;
    is($lines, 4000, 'twenty files');
    my @listed = threads->create({context => 'list'}, sub { opendir(my $d, $dir); grep { !/^\./ } readdir $d })->join();
    is(scalar(@listed), 20, 'listed in a thread');
}

done_testing();
